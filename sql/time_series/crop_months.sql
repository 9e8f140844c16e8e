-- Median NDVI of every crop of $aoi and $year in each month, over observable parcels (at least 8 pixels, enough of the parcel seen) none of
-- whose pixels is in the scene classes $screen (usually 3, 8, 9, 10, 11). unknown: looks left out since no pixel is classified.
select
    crop_name as crop, month(obstime) as month, count(distinct pid) filter (sky = 'clear') as parcels,
    round((median(value) filter (sky = 'clear'))::double, 2) as ndvi, count(*) filter (sky = 'unknown') as unknown
from (
    select
        aoi, year, ptype, pid, obstime, ndvi(B04_mean, B08_mean) as value, sky_of(scl, $screen::integer[]) as sky
    from s2
    where aoi = $aoi and year = $year and observable
)
join parcels using (aoi, year, ptype, pid)
where value is not null and sky <> 'cloudy'
group by all
order by all
