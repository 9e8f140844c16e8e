-- is_listed_crop(listed, hcat, name, code): whether a declared crop is one of those that are `listed`; null where that cannot be said. What is
-- listed: beginnings of HCAT codes ('3302'), '=' and a whole code or name of the agency ('=PPH'), and words that names contain ('meadow'),
-- in small letters. Whole codes and names that are listed count first. Codes of HCAT decide where the crop has one and some are listed, but not
-- where it is that of a group with a listed crop; else words; a name in which none of the words occurs is not listed, a code alone that is
-- not listed as a whole cannot be judged by words.
create macro is_listed_crop(listed, hcat, name, code) as case
    when list_contains(listed, '=' || lower(name)) or list_contains(listed, '=' || lower(code)) then true
    when hcat is not null and not starts_with(hcat, '3399') and len(list_filter(listed, lambda one: regexp_full_match(one, '33\d*'))) > 0
        then case
            when len(list_filter(listed, lambda one: regexp_full_match(one, '33\d*') and starts_with(hcat, one))) > 0 then true
            when len(list_filter(listed, lambda one: regexp_full_match(one, '33\d*') and starts_with(one, hcat_trimmed(hcat)))) = 0 then false
        end
    when name is not null and len(list_filter(listed, lambda one: not regexp_full_match(one, '=.*|33\d*'))) > 0
        then len(list_filter(listed, lambda one: not regexp_full_match(one, '=.*|33\d*') and contains(lower(name), one))) > 0
    when coalesce(name, code) is not null and len(list_filter(listed, lambda one: starts_with(one, '='))) > 0 then false
end
