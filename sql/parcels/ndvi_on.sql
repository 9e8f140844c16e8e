-- NDVI of every parcel of $aoi, $year and $ptype on $day, the mean where several scenes saw it, in the order of pids; without those of
-- which more than the share $cloud is in the scene classes $screen (usually 3, 8, 9, 10, 11).
select pid, avg(ndvi(B04_mean, B08_mean)) as value
from s2
where aoi = $aoi and year = $year and ptype = $ptype
    and obstime >= $day::date::timestamptz and obstime < ($day::date + 1)::timestamptz
    and coalesce(share_of(scl, $screen::integer[]), 0) <= $cloud
group by pid
order by pid
