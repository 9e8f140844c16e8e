-- The statistics of the bands of Sentinel-2 of parcels $pids of $aoi, $year and $ptype from day $first to day $last (days since
-- 1970-01-01, UTC) but for their means: std, min, max and percentiles, one row per parcel and day, where several scenes are averaged. Looks
-- that are usable with $pixels pixels, the share $share of the parcel, and the share $cloud of the classified pixels in the scene classes
-- $screen (null: the lake's rules), and B04 no brighter than $brightest DN.
select pid, (epoch_us(obstime) // 86_400_000_000)::integer as day, avg(columns('^B[0-9]+A?_(std|min|max|p[0-9]+)$'))
from observed_s2($screen::integer[], most := $cloud, fewest := $pixels, least_seen := $share)
where aoi = $aoi and year = $year and ptype = $ptype and list_contains($pids::varchar[], pid)
    and is_usable(observable, unknown, clouded) and B04_mean <= $brightest
    and epoch_us(obstime) // 86_400_000_000 between $first and $last
group by pid, day
order by pid, day
