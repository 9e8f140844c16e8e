-- Crop rotation (GAEC 7): whether another crop grew on the land of each parcel of $aoi, $year and $ptype in one of the $years successive years up to
-- $year; with 2 the crop has to change every year. no: on more than the share $slivers of the parcel the same crop was declared in all of them.
-- Same is by the first $digits of HCAT where it is known, else by name, else by code (compared_by). Crops of the list $exempt need no
-- rotation: permanent and multiannual crops, grass, fallow, crops under water; where the list cannot judge a crop, nothing is said. area_m2: the land of which this is certain; most_m2: possible.
select
    pid, crop_name, 'crop rotation' as rule, case
        when is_exempt then 'yes'
        when is_exempt is null and most_m2 > $slivers * parcel_m2 then 'cannot say'
        when least_m2 > $slivers * parcel_m2 then 'no'
        when most_m2 <= $slivers * parcel_m2 then 'yes'
        else 'cannot say'
    end as holds, case
        when is_exempt then 'this crop needs no rotation'
        when coalesce(crop_name, crop_code, hcat) is null then 'no crop is declared'
        when is_exempt is null and most_m2 > $slivers * parcel_m2 then 'whether the declared crop needs rotation cannot be judged'
        when least_m2 > $slivers * parcel_m2 then 'the same crop in ' || $years || ' successive years'
        when most_m2 <= $slivers * parcel_m2 then 'another crop grew there before'
        else coalesce(unknown, 'the shares of the years do not say whether they are the same land')
    end as reason,
    parcel_m2, if(is_exempt, 0, least_m2) as area_m2, if(is_exempt, 0, most_m2) as most_m2, area_m2 / nullif(parcel_m2, 0) as share,
    null::date as day, list_prepend($year::integer, years) as years, pids_before, compared_by, evidence, coalesce(not is_exempt, false) and is_open as is_open
from (
    select now.* exclude (area_m2, is_listed), land.* exclude (pid, area_m2), land.area_m2 as parcel_m2, is_listed as is_exempt
    from land_in_succession($aoi, $year::integer, $ptype, $years::integer, null::varchar[], $digits::integer) as land
    join listed_parcels($aoi, $year::integer, $ptype, $exempt::varchar[]) as now using (pid)
)
order by holds = 'yes', holds, share desc, pid
