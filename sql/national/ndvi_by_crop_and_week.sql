-- Median NDVI of every crop of $aoi, $year and $ptype in each week (its Monday, UTC), over parcels of at least 8 pixels none of which
-- is shadow, cloud, cirrus or snow (scene classes 3, 8, 9, 10, 11). parcels counts a parcel as often as it was seen.
select
    crop_name as crop, make_timestamp((week * 7 - 3) * 86_400_000_000)::date as week,
    count(*) as parcels, median(value) as ndvi
from (
    -- weeks by counting days: a calendar for every one of millions of rows would take longer than all the rest
    select pid, (epoch_us(obstime) // 86_400_000_000 + 3) // 7 as week, ndvi(B04_mean, B08_mean) as value
    from s2
    where aoi = $aoi and year = $year and ptype = $ptype and B04_count >= 8 and B08_count >= 8
        and scl_3 = 0 and scl_8 = 0 and scl_9 = 0 and scl_10 = 0 and scl_11 = 0
)
join (select pid, crop_name from parcels where aoi = $aoi and year = $year and ptype = $ptype) using (pid)
where value is not null
group by crop_name, week
order by crop_name, week
