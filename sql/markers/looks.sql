-- What became of the looks of Sentinel-2 at the parcels of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01, UTC)
-- by the rules of markers.optical, each counted once (a look is one parcel in one scene): small (fewer than $pixels pixels of B04 or B08), cut
-- (less than the share $share of the parcel seen; null: least_share()), unknown (no pixel is classified, so that no screen can decide), cloudy
-- (more than the share $cloud of the classified pixels in the scene classes $screen), bright (B04 above $brightest DN) and clear. $pids limits
-- the parcels, null takes all.
select
    count(*) as looks, count(*) filter (fate = 'small') as small, count(*) filter (fate = 'cut') as cut,
    count(*) filter (fate = 'unknown') as unknown, count(*) filter (fate = 'cloudy') as cloudy,
    count(*) filter (fate = 'bright') as bright, count(*) filter (fate = 'clear') as clear
from (
    select case
        when pixels < $pixels then 'small' when share < coalesce($share::float, least_share()) then 'cut'
        when classified is null or classified = 0 then 'unknown' when screened > $cloud * classified then 'cloudy'
        when red > $brightest then 'bright' else 'clear' end as fate
    from (
        select
            share, B04_mean as red, least(B04_count, B08_count) as pixels,
            scl_1 + scl_2 + scl_3 + scl_4 + scl_5 + scl_6 + scl_7 + scl_8 + scl_9 + scl_10 + scl_11 as classified,
            -- twelve constants are folded once; a list for every row would take longer than all the rest
            if(list_contains($screen::integer[], 1), scl_1, 0) + if(list_contains($screen::integer[], 2), scl_2, 0)
            + if(list_contains($screen::integer[], 3), scl_3, 0) + if(list_contains($screen::integer[], 4), scl_4, 0)
            + if(list_contains($screen::integer[], 5), scl_5, 0) + if(list_contains($screen::integer[], 6), scl_6, 0)
            + if(list_contains($screen::integer[], 7), scl_7, 0) + if(list_contains($screen::integer[], 8), scl_8, 0)
            + if(list_contains($screen::integer[], 9), scl_9, 0) + if(list_contains($screen::integer[], 10), scl_10, 0)
            + if(list_contains($screen::integer[], 11), scl_11, 0) as screened
        from s2
        where aoi = $aoi and year = $year and ptype = $ptype and B04_count > 0 and B08_count > 0
            and epoch_us(obstime) // 86_400_000_000 between $first and $last
            and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
    )
)
having count(*) > 0
