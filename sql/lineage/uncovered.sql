-- How much of each parcel of $aoi, $year and $ptype lay in no parcel of $year_before and $ptype_before: its share, and square metres. It
-- is negative where parcels of the earlier year overlap each other.
select pid, any_value(area_m2) as area_m2, 1 - sum(share) as uncovered, any_value(area_m2) * (1 - sum(share)) as uncovered_m2
from lineage
where aoi = $aoi and year = $year and ptype = $ptype and year_before = $year_before and ptype_before = $ptype_before
    and pid is not null
group by pid
order by pid
