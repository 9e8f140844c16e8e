-- The rows of a worklist (`listed`) whose pid begins with $search, small and capital letters alike, or whose crop contains all words of it;
-- all where it is empty.
select *
from listed
where $search = '' or starts_with(lower(pid), $search)
    or coalesce(list_bool_and([contains(lower(crop), word) for word in string_split_regex($search, '\s+')]), false)
