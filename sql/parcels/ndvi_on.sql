-- NDVI of every parcel of $aoi, $year and $ptype on $day, the mean where several scenes saw it, in the order of pids; without those of
-- which more than the share $cloud is in the scene classes $screen (usually 3, 8, 9, 10, 11), and those of which too little was seen.
-- unknown: whether none of its pixels is classified, so that it may be clouded.
select
    pid, avg(ndvi(B04_mean, B08_mean)) as value, bool_and(sky_of(scl, $screen::integer[], $cloud) = 'unknown') as unknown
from s2
where aoi = $aoi and year = $year and ptype = $ptype
    and obstime >= $day::date::timestamptz and obstime < ($day::date + 1)::timestamptz
    and sky_of(scl, $screen::integer[], $cloud) <> 'cloudy' and is_seen(share)
group by pid
order by pid
