-- Extracted beside drawn NDVI of the demonstration: parcels of at least 8 pixels of $aoi and $year on every Sentinel-2 date. $truth is
-- the sample's truth.parquet; observations: clear, cut (by the edge of the swath) or clouded (pixels in the scene classes $screen).
select
    pid, obstime, ndvi(B04_mean, B08_mean) as extracted, truth.ndvi as drawn,
    case when clouded then 'clouded' when scl[1] > 0 then 'cut' else 'clear' end as observations
from observed_s2($screen::integer[], least_clear := 2) -- of all pixels, always
join (select pid, obstime, ndvi from read_parquet($truth)) as truth using (pid, obstime)
where aoi = $aoi and year = $year and observable and cloud is not null
    and B04_mean is not null and B08_mean is not null
order by pid, obstime
