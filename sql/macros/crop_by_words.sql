-- is_judged_by_words(listed, hcat): whether is_listed_crop() judges a crop by the words of the list: it has no code of HCAT, or the list names none,
-- and the list has no whole codes or names.
create macro is_judged_by_words(listed, hcat) as len(list_filter(listed, lambda one: starts_with(one, '='))) = 0
    and (hcat is null or starts_with(hcat, '3399') or len(list_filter(listed, lambda one: regexp_full_match(one, '33\d*'))) = 0)
