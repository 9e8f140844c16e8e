-- Median NDVI of every crop of $aoi and $year per day of observation, with its quartiles, over parcels of at least 8 pixels of which
-- at most $cloud (0 to 1) are in the scene classes $screen.
select
    crop_name, obstime::date as day, count(*) as parcels,
    median(value) as ndvi, quantile_cont(value, 0.25) as ndvi_p25, quantile_cont(value, 0.75) as ndvi_p75
from (
    select s2.aoi, s2.year, s2.ptype, s2.pid, obstime, ndvi(B04_mean, B08_mean) as value
    from s2
    where aoi = $aoi and year = $year and observable and share_of(scl, $screen::integer[]) <= $cloud
)
join parcels using (aoi, year, ptype, pid)
where value is not null
group by all
order by all
