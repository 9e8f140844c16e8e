-- Median NDVI of every crop of $aoi and $year in each month, over observable parcels (at least 8 pixels, enough of the parcel seen) none of
-- whose pixels is in the scene classes $screen (usually 3, 8, 9, 10, 11). unknown: looks left out since no pixel is classified.
select
    crop_name as crop, month(obstime) as month, count(distinct pid) filter (not unknown) as parcels,
    round((median(ndvi) filter (not unknown))::double, 2) as ndvi, count(*) filter (unknown) as unknown
from (
    select aoi, year, ptype, pid, obstime, ndvi, unknown
    from observations_s2($screen::integer[])
    where aoi = $aoi and year = $year and observable and not clouded and ndvi is not null
)
join parcels using (aoi, year, ptype, pid)
group by all
order by all
