-- What Sentinel-2 saw clearly of every parcel of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01, UTC), in
-- the order of parcel and day: the parcel's place in the order of pids (from 0), NDVI from the mean DN of B04 and B08, its standard
-- deviation inside the parcel (both bands' to first order, as if they did not vary together), pixels. Several scenes of one day are
-- averaged, each weighing as much as the share of the parcel that it saw. $pids limits the parcels, null takes all. Looks that are usable
-- with at least $pixels pixels (null: least_pixels()), at least the share $share of the parcel seen (null: least_share(); rows of version
-- 0.1, of which it is not known, count as whole), at most the share $cloud (null: most_cloud()) of the classified pixels in the scene classes
-- $screen, and B04 no brighter than $brightest DN, which clouds and snow that the classes missed are. markers.looks counts what is left out.
select
    place::integer as place, day::integer as day, (sum(ndvi * weight) / sum(weight))::float as ndvi,
    (sum(spread * weight) / sum(weight) filter (spread is not null))::float as spread,
    max(pixels)::integer as pixels
from (
    select
        pid, epoch_us(obstime) // 86_400_000_000 as day, ndvi(B04_mean, B08_mean) as ndvi,
        2 * sqrt((B08_mean * B04_std) ** 2 + (B04_mean * B08_std) ** 2) / nullif(B04_mean + B08_mean, 0) ** 2 as spread,
        pixels, coalesce(share, 1)::double as weight
    from observed_s2($screen::integer[], most := $cloud, fewest := $pixels, least_seen := $share)
    where aoi = $aoi and year = $year and ptype = $ptype and is_usable(observable, unknown, clouded)
        and B04_mean <= $brightest
        -- by whole files, before the days are worked out
        and obstime >= to_timestamp($first::bigint * 86_400) and obstime < to_timestamp(($last::bigint + 1) * 86_400)
)
join (
    select pid, row_number() over (order by pid) - 1 as place
    from parcels where aoi = $aoi and year = $year and ptype = $ptype
        and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
) using (pid)
where day between $first and $last and ndvi is not null
group by all
order by all
