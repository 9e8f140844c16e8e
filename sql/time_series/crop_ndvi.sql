-- Median NDVI of every crop of $aoi and $year per day of observation, with its quartiles, over observable parcels (at least 8 pixels, enough
-- of the parcel seen) of which at most $cloud (0 to 1) are in the scene classes $screen. unknown: looks left out since no pixel is classified.
select
    crop_name, obstime::date as day, count(*) filter (not unknown) as parcels,
    median(ndvi) filter (not unknown) as ndvi, quantile_cont(ndvi, 0.25) filter (not unknown) as ndvi_p25,
    quantile_cont(ndvi, 0.75) filter (not unknown) as ndvi_p75, count(*) filter (unknown) as unknown
from (
    select aoi, year, ptype, pid, obstime, ndvi, unknown
    from observations_s2($screen::integer[], most := $cloud)
    where aoi = $aoi and year = $year and observable and not clouded and ndvi is not null
)
join parcels using (aoi, year, ptype, pid)
group by all
order by all
