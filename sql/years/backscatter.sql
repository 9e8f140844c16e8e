-- Median backscatter VV of every parcel of $aoi, $year and $ptype over its looks of Sentinel-1, in decibels, in the order of pids (place, from 0); water
-- that lies still reflects away from the satellite, buildings reflect back to it. Only observable looks.
select place::integer as place, median(10 * log10(if(VV_mean > 0, VV_mean, null)))::float as vv
from (from bs where aoi = $aoi and year = $year and ptype = $ptype)
join (
    select pid, row_number() over (order by pid) - 1 as place from parcels where aoi = $aoi and year = $year and ptype = $ptype
) using (pid)
where observable
group by place
order by place
