-- What became of the looks of Sentinel-2 at the parcels of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01, UTC)
-- by the rules of markers.optical, each counted once (a look is one parcel in one scene that has an NDVI): small (fewer than $pixels pixels),
-- cut (less than the share $share of the parcel seen), unknown (no pixel is classified, so that no screen can decide), cloudy (more than the
-- share $cloud of the classified pixels in the scene classes $screen), bright (B04 above $brightest DN) and clear. $pids limits the parcels,
-- null takes all; null of the others is the lake's rule.
select
    count(*) as looks, count(*) filter (why_not = 'small') as small, count(*) filter (why_not = 'cut') as cut,
    count(*) filter (why_not = 'unknown') as unknown, count(*) filter (why_not = 'cloudy') as cloudy,
    count(*) filter (why_not = 'bright') as bright, count(*) filter (why_not is null) as clear
from (
    select coalesce(
        why_not(pixels, share, observable, unknown, clouded, $pixels), if(B04_mean > $brightest, 'bright', null)
    ) as why_not
    from observed_s2($screen::integer[], most := $cloud, fewest := $pixels, least_seen := $share)
    where aoi = $aoi and year = $year and ptype = $ptype and ndvi(B04_mean, B08_mean) is not null
        and epoch_us(obstime) // 86_400_000_000 between $first and $last
        -- by whole files, before the days are worked out
        and obstime >= to_timestamp($first::bigint * 86_400) and obstime < to_timestamp(($last::bigint + 1) * 86_400)
        and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
)
having count(*) > 0
