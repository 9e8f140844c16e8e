-- land_of_crops(the_aoi, this_year, the_ptype, span, listed, digits): the rows of land_before(), each with whether the earlier crop counts (counts; null:
-- cannot be said): one that is `listed`, see is_listed_crop(), or, where `listed` is null, the same as now, see same_hcat() for `digits`. Words of a
-- list say nothing about a year in which, and in this one if it writes names alike, no crop is named by them. compared_by: hcat, name or code.
create macro land_of_crops(the_aoi, this_year, the_ptype, span, listed, digits) as table
select * exclude (by_hcat, by_name, by_code, by_list, by_words, is_spoken), case
    when pid_before is null then null
    when listed is null then same_crop(by_hcat, by_name, by_code)
    when by_words and not by_list and not is_spoken then null
    else by_list
end as counts, case
    when pid_before is null then null
    when listed is not null then if(by_words, 'name', if(hcat_before is not null, 'hcat', 'code'))
    when by_hcat is not null then 'hcat'
    when by_name is not null then 'name'
    when by_code is not null then 'code'
end as compared_by
from (
    select
        *, same_hcat(hcat, hcat_before, digits) as by_hcat, same_texts(name, name_before, common_names) as by_name,
        same_texts(code, code_before, common_codes) as by_code, is_listed_crop(listed, hcat_before, name_before, code_before) as by_list,
        is_judged_by_words(listed, hcat_before) as by_words,
        coalesce(bool_or(is_listed_crop(listed, null, name_before, null)) over (partition by year_before), false)
        or common_names and coalesce(bool_or(is_listed_crop(listed, null, name, null)) over (), false) as is_spoken
    from land_before(the_aoi, this_year, the_ptype, span)
)
