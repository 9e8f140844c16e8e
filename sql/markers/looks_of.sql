-- Each look of Sentinel-2 at the parcel $pid of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01, UTC) that has an
-- NDVI, in the order of time: its day, ndvi, the share of its classified pixels in the scene classes $screen (cloud), the share of the
-- parcel that was seen, and by why_not the rule by which markers.looks leaves it out; null where it is clear. $pixels, $share, $cloud
-- and $brightest are those of markers.looks.
select
    (epoch_us(obstime) // 86_400_000_000)::integer as day, ndvi(B04_mean, B08_mean)::float as ndvi, cloud::float as cloud,
    share::float as share,
    coalesce(
        why_not(pixels, share, observable, unknown, clouded, $pixels), if(B04_mean > $brightest, 'bright', null)
    ) as why_not
from observed_s2($screen::integer[], most := $cloud, fewest := $pixels, least_seen := $share)
where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid and ndvi is not null
    and obstime >= to_timestamp($first::bigint * 86_400) and obstime < to_timestamp(($last::bigint + 1) * 86_400)
order by obstime, scene
