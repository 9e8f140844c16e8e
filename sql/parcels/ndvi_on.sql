-- NDVI of every parcel of $aoi, $year and $ptype on $day, the mean where several scenes saw it, in the order of pids; without those of
-- which more than the share $cloud is in the scene classes $screen (usually 3, 8, 9, 10, 11), and those of which too little was seen.
-- unknown: whether none of its pixels is classified, so that it may be clouded; such a look counts only where there is no other.
select
    pid, coalesce(avg(value) filter (sky = 'clear'), avg(value)) as value, bool_and(sky = 'unknown') as unknown
from (
    select pid, ndvi(B04_mean, B08_mean) as value, sky_of(scl, $screen::integer[], $cloud) as sky
    from s2
    where aoi = $aoi and year = $year and ptype = $ptype
        and obstime >= $day::date::timestamptz and obstime < ($day::date + 1)::timestamptz and is_seen(share)
)
where sky <> 'cloudy'
group by pid
order by pid
