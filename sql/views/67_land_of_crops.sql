-- land_of_crops(the_aoi, this_year, the_ptype, span, listed, digits): the rows of land_before(), each with whether the earlier crop counts (counts; null:
-- cannot be said): one that is `listed`, see is_listed_crop(), or, where `listed` is null, the same as now: by HCAT alone where both are known in it, see
-- same_hcat() for `digits`, else by name and code, see same_crop(). Words of a
-- list say nothing about a year in which, and in this one if it writes names alike, no crop is named by them. compared_by: hcat, name or code.
create macro land_of_crops(the_aoi, this_year, the_ptype, span, listed, digits) as table
with land as materialized (from land_before(the_aoi, this_year, the_ptype, span)),
-- texts and codes are compared once for each pair of crops that follow each other, not for each piece of land
pairs as (
    select
        *, same_hcat(hcat, hcat_before, digits) as by_hcat,
        coalesce(not starts_with(hcat, '3399') and not starts_with(hcat_before, '3399'), false) as is_coded,
        is_listed_crop(listed, hcat_before, name_before, code_before) as by_list,
        is_judged_by_words(listed, hcat_before) as by_words, is_listed_crop(listed, null, name_before, null) as is_named_before,
        is_listed_crop(listed, null, name, null) as is_named
    from (select distinct year_before, hcat, name, code, hcat_before, name_before, code_before, common_names from land)
),
spoken as (
    select year_before, bool_or(coalesce(is_named_before, false) or common_names and coalesce(is_named, false)) as is_spoken
    from pairs
    group by year_before
)
select
    land.*, case
        when pid_before is null then null
        when listed is null and is_coded then by_hcat
        when listed is null then same_crop(
            same_texts(land.name, land.name_before, land.common_names), same_texts(land.code, land.code_before, common_codes)
        )
        when by_words and not by_list and not is_spoken then null
        else by_list
    end as counts, case
        when pid_before is null then null
        when listed is not null then if(by_words, 'name', if(land.hcat_before is not null, 'hcat', 'code'))
        when is_coded then 'hcat'
        when same_texts(land.name, land.name_before, land.common_names) is not null then 'name'
        when same_texts(land.code, land.code_before, common_codes) is not null then 'code'
    end as compared_by
from land
join pairs
    on pairs.year_before = land.year_before and pairs.common_names = land.common_names and pairs.hcat is not distinct from land.hcat
    and pairs.name is not distinct from land.name and pairs.code is not distinct from land.code
    and pairs.hcat_before is not distinct from land.hcat_before and pairs.name_before is not distinct from land.name_before
    and pairs.code_before is not distinct from land.code_before
join spoken on spoken.year_before = land.year_before
