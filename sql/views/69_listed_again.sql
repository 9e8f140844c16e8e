-- listed_again(the_aoi, this_year, the_ptype, span, listed, slivers, crop, otherwise): of the parcels whose declared crop is of the list `listed`,
-- or cannot be judged by it, whether (holds) such a crop grew on more than the share `slivers` of the parcel in span successive years up to
-- this one, and in words why; `crop` is what the reason calls the list, and `otherwise` is the reason where it did not. area_m2: the land of
-- which this is certain; most_m2: possible. See land_in_succession() and listed_parcels().
create macro listed_again(the_aoi, this_year, the_ptype, span, listed, slivers, crop, otherwise) as table
select
    pid, crop_name, case
        when is_listed is null then 'cannot say'
        when least_m2 > slivers * parcel_m2 then 'yes'
        when most_m2 <= slivers * parcel_m2 then 'no'
        else 'cannot say'
    end as holds, case
        when is_listed is null then 'the declared crop cannot be judged'
        when least_m2 > slivers * parcel_m2 then crop || ' in ' || span || ' successive years'
        when most_m2 <= slivers * parcel_m2 then otherwise
        else coalesce(unknown, 'the shares of the years do not say whether they are the same land')
    end as reason,
    parcel_m2, if(is_listed, least_m2, 0) as area_m2, most_m2, area_m2 / nullif(parcel_m2, 0) as share, null::date as day,
    list_prepend(this_year, years) as years, pids_before, compared_by, evidence, coalesce(is_listed, false) and is_open as is_open
from (
    select land.* exclude (area_m2), land.area_m2 as parcel_m2, crop_name, is_listed
    from land_in_succession(the_aoi, this_year, the_ptype, span, listed, 10) as land
    join (
        select pid, crop_name, is_listed from listed_parcels(the_aoi, this_year, the_ptype, listed)
    ) using (pid)
    where coalesce(is_listed, true)
)
