-- What Sentinel-2 saw clearly of every parcel of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01, UTC), in
-- the order of parcel and day: the parcel's place in the order of pids (from 0), NDVI from the mean DN of B04 and B08, its standard
-- deviation inside the parcel (both bands' to first order, as if they did not vary together), pixels. Several scenes of one day are
-- averaged, each weighing as much as the share of the parcel that it saw. $pids limits the parcels, null takes all. Clear: at least $pixels
-- pixels in both bands, at least the share $share of the parcel seen (null: least_share(); rows of version 0.1, of which it is not known,
-- count as whole), at most the share $cloud of the classified pixels in the scene classes $screen, of which there is at least one, and B04 no
-- brighter than $brightest DN, which clouds and snow that the classes missed are. markers.looks counts what is left out.
select
    place::integer as place, day::integer as day, (sum(ndvi * weight) / sum(weight))::float as ndvi,
    (sum(spread * weight) / sum(weight) filter (spread is not null))::float as spread,
    max(pixels)::integer as pixels
from (
    select
        pid, epoch_us(obstime) // 86_400_000_000 as day, ndvi(B04_mean, B08_mean) as ndvi,
        2 * sqrt((B08_mean * B04_std) ** 2 + (B04_mean * B08_std) ** 2) / nullif(B04_mean + B08_mean, 0) ** 2 as spread,
        least(B04_count, B08_count) as pixels, coalesce(share, 1)::double as weight,
        scl_1 + scl_2 + scl_3 + scl_4 + scl_5 + scl_6 + scl_7 + scl_8 + scl_9 + scl_10 + scl_11 as classified,
        -- twelve constants are folded once; a list for every row would take longer than all the rest
        if(list_contains($screen::integer[], 1), scl_1, 0) + if(list_contains($screen::integer[], 2), scl_2, 0)
        + if(list_contains($screen::integer[], 3), scl_3, 0) + if(list_contains($screen::integer[], 4), scl_4, 0)
        + if(list_contains($screen::integer[], 5), scl_5, 0) + if(list_contains($screen::integer[], 6), scl_6, 0)
        + if(list_contains($screen::integer[], 7), scl_7, 0) + if(list_contains($screen::integer[], 8), scl_8, 0)
        + if(list_contains($screen::integer[], 9), scl_9, 0) + if(list_contains($screen::integer[], 10), scl_10, 0)
        + if(list_contains($screen::integer[], 11), scl_11, 0) as screened
    from s2
    where aoi = $aoi and year = $year and ptype = $ptype and B04_count >= $pixels and B08_count >= $pixels
        and B04_mean <= $brightest and coalesce(share >= coalesce($share::float, least_share()), true)
)
join (
    select pid, row_number() over (order by pid) - 1 as place
    from parcels where aoi = $aoi and year = $year and ptype = $ptype
        and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
) using (pid)
where day between $first and $last and classified > 0 and screened <= $cloud * classified and ndvi is not null
group by all
order by all
