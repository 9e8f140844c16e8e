-- Median NDVI of every crop of $aoi, $year and $ptype in each week (its Monday, UTC), over parcels of at least 8 pixels and seen well enough
-- none of which is shadow, cloud, cirrus or snow (scene classes 3, 8, 9, 10, 11). parcels counts a parcel as often as it was seen; unknown
-- counts the looks that were left out since no pixel is classified.
select
    crop_name as crop, make_timestamp((week * 7 - 3) * 86_400_000_000)::date as week,
    count(*) filter (classified) as parcels, median(value) filter (classified) as ndvi,
    count(*) filter (not classified) as unknown
from (
    -- weeks by counting days: a calendar for every one of millions of rows would take longer than all the rest
    select
        pid, (epoch_us(obstime) // 86_400_000_000 + 3) // 7 as week, ndvi(B04_mean, B08_mean) as value,
        coalesce(scl_1 + scl_2 + scl_4 + scl_5 + scl_6 + scl_7 > 0, false) as classified
    from s2
    where aoi = $aoi and year = $year and ptype = $ptype and B04_count >= 8 and B08_count >= 8 and is_seen(share)
        and coalesce(scl_3 + scl_8 + scl_9 + scl_10 + scl_11, 0) = 0
)
join (select pid, crop_name from parcels where aoi = $aoi and year = $year and ptype = $ptype) using (pid)
where value is not null
group by crop_name, week
order by crop_name, week
