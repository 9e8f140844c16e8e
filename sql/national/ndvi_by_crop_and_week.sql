-- Median NDVI of every crop of $aoi, $year and $ptype in each week (its Monday, UTC), over parcels of at least 8 pixels and seen well enough
-- none of which is shadow, cloud, cirrus or snow (scene classes 3, 8, 9, 10, 11). parcels counts a parcel as often as it was seen; unknown
-- counts the looks that were left out since no pixel is classified.
select
    crop_name as crop, make_timestamp((week * 7 - 3) * 86_400_000_000)::date as week,
    count(*) filter (not unknown) as parcels, median(ndvi) filter (not unknown) as ndvi,
    count(*) filter (unknown) as unknown
from (
    -- weeks by counting days: a calendar for every one of millions of rows would take longer than all the rest
    select pid, (epoch_us(obstime) // 86_400_000_000 + 3) // 7 as week, ndvi, unknown
    from observations_s2(cloud_classes())
    where aoi = $aoi and year = $year and ptype = $ptype and observable and not clouded and ndvi is not null
)
join (select pid, crop_name from parcels where aoi = $aoi and year = $year and ptype = $ptype) using (pid)
group by crop_name, week
order by crop_name, week
