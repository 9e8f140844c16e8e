-- Outlines of the table $owner that are not valid by the rules of OGC Simple Features, and why.
select 'geometry' as field, row, id, reason as detail
from outlines
where owner = $owner and reason is not null
order by row
