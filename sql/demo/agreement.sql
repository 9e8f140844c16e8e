-- Extracted beside drawn NDVI of the demonstration: parcels of at least 8 pixels of $aoi and $year on every Sentinel-2 date. $truth is
-- the sample's truth.parquet; seen is false where a pixel is in the scene classes $screen, so that the ground was not seen wholly.
select
    pid, crop_name, obstime, ndvi(B04_mean, B08_mean) as extracted, truth.ndvi as drawn,
    coalesce(share_of(scl, $screen::integer[]) = 0, false) as seen
from s2
join parcels using (aoi, year, ptype, pid)
join (select pid, obstime, ndvi from read_parquet($truth)) as truth using (pid, obstime)
where aoi = $aoi and year = $year and observable and B04_mean is not null and B08_mean is not null
order by pid, obstime
