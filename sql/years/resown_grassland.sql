-- Permanent grassland that was ploughed and is grass again: of the parcels of $aoi, $year and $ptype that are declared as grass (list $grass) on land
-- that was grass in $years successive years, or may have been, those with a ploughing marker of $year of at least the confidence $confidence; day:
-- the first; the sowing after it is in evidence. area_m2: the permanent grassland of the parcel, of which markers do not say how much was ploughed;
-- up to the share $slivers of the parcel is left out of account.
select
    pid, crop_name, 'ploughed and resown' as rule, case
        when ploughed is not null and least_m2 > $slivers * parcel_m2 then 'yes'
        when ploughed is null and perhaps is null and observed then 'no'
        else 'cannot say'
    end as holds, case
        when ploughed is not null and least_m2 > $slivers * parcel_m2 then 'ploughed on ' || ploughed || ', and declared as grass'
        when ploughed is not null then 'ploughed on ' || ploughed || '; whether it was permanent grassland cannot be said'
        when perhaps is not null then 'perhaps ploughed on ' || perhaps
        when observed then 'no ploughing was seen'
        when observed is null then 'there are no markers of ' || $year
        else 'not seen on enough clear dates'
    end as reason,
    parcel_m2, if(ploughed is null, 0, least_m2) as area_m2, most_m2, area_m2 / nullif(parcel_m2, 0) as share, coalesce(ploughed, perhaps) as day,
    list_prepend($year::integer, years) as years, pids_before, compared_by,
    case
        when ploughed is null then null
        else 'confidence ' || coalesce(format('{:.2f}', sureness::double), 'not known') || coalesce('; sown on ' || sown, '; no sowing was seen')
    end as evidence, is_open and ploughed is not null as is_open, ploughed is not null as is_ploughed
from (
    select land.* exclude (area_m2), land.area_m2 as parcel_m2, crop_name, events.* exclude (pid, of_year)
    from land_in_succession($aoi, $year::integer, $ptype, $years::integer, $grass::varchar[], 10) as land
    join listed_parcels($aoi, $year::integer, $ptype, $grass::varchar[]) as now using (pid)
    left join ploughed_parcels($aoi, $ptype, $year::integer, $year::integer, $confidence::double) as events using (pid)
    where is_listed and most_m2 > $slivers * land.area_m2
)
order by holds = 'no', holds = 'cannot say', day nulls last, pid
