-- Fallow after fallow: of the parcels of $aoi, $year and $ptype that are declared as fallow (list $fallow), the land that was fallow in $years
-- successive years up to $year. yes: more than the share $slivers of the parcel was. area_m2: the land of which this is certain; most_m2:
-- possible. Parcels whose declared crop cannot be judged are there, too.
select
    pid, crop_name, 'fallow after fallow' as rule, case
        when is_fallow is null then 'cannot say'
        when least_m2 > $slivers * parcel_m2 then 'yes'
        when most_m2 <= $slivers * parcel_m2 then 'no'
        else 'cannot say'
    end as holds, case
        when is_fallow is null then 'the declared crop cannot be judged'
        when least_m2 > $slivers * parcel_m2 then 'fallow in ' || $years || ' successive years'
        when most_m2 <= $slivers * parcel_m2 then 'something was grown there before'
        else coalesce(unknown, 'the shares of the years do not say whether they are the same land')
    end as reason,
    parcel_m2, if(is_fallow, least_m2, 0) as area_m2, most_m2, area_m2 / nullif(parcel_m2, 0) as share, null::date as day,
    list_prepend($year::integer, years) as years, pids_before, compared_by, evidence, coalesce(is_fallow, false) and is_open as is_open
from (
    select land.* exclude (area_m2), land.area_m2 as parcel_m2, crop_name, is_fallow
    from land_in_succession($aoi, $year::integer, $ptype, $years::integer, $fallow::varchar[], 10) as land
    join (
        select pid, crop_name, is_listed as is_fallow from listed_parcels($aoi, $year::integer, $ptype, $fallow::varchar[])
    ) using (pid)
    where coalesce(is_fallow, true)
)
order by holds = 'no', holds, share desc, pid
