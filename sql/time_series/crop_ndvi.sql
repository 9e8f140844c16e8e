-- Median NDVI of every crop of $aoi and $year per day of observation, with its quartiles, over observable parcels (at least 8 pixels, enough
-- of the parcel seen) of which at most $cloud (0 to 1) are in the scene classes $screen. unknown: looks left out since no pixel is classified.
select
    crop_name, obstime::date as day, count(*) filter (sky = 'clear') as parcels,
    median(value) filter (sky = 'clear') as ndvi, quantile_cont(value, 0.25) filter (sky = 'clear') as ndvi_p25,
    quantile_cont(value, 0.75) filter (sky = 'clear') as ndvi_p75, count(*) filter (sky = 'unknown') as unknown
from (
    select
        s2.aoi, s2.year, s2.ptype, s2.pid, obstime, ndvi(B04_mean, B08_mean) as value,
        sky_of(scl, $screen::integer[], $cloud) as sky
    from s2
    where aoi = $aoi and year = $year and observable
)
join parcels using (aoi, year, ptype, pid)
where value is not null and sky <> 'cloudy'
group by all
order by all
