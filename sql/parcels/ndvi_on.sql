-- NDVI of every parcel of $aoi, $year and $ptype on $day, the mean where several scenes saw it, in the order of pids; without those of
-- fewer than 8 pixels, of which too little was seen, or of which more than the share $cloud is in the scene classes $screen (usually
-- 3, 8, 9, 10, 11). unknown: whether none of its pixels is classified, so that it may be clouded; such a look counts only where there is
-- no usable one.
select pid, coalesce(avg(ndvi) filter (not unknown), avg(ndvi)) as value, bool_and(unknown) as unknown
from observations_s2($screen::integer[], most := $cloud)
where aoi = $aoi and year = $year and ptype = $ptype
    and obstime >= $day::date::timestamptz and obstime < ($day::date + 1)::timestamptz
    and observable and not clouded
group by pid
order by pid
