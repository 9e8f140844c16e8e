-- How the bands' means go with NDVI over the parcels and days of $aoi, $year and $ptype that were clear of the scene classes
-- $screen, or where no pixel is classified (DN for NDVI from 0 to 1): the direction in which growth and harvest move them. One of $step parcels is taken.
select
    regr_slope(B02_mean, ndvi) as b02_slope,
    regr_slope(B03_mean, ndvi) as b03_slope,
    regr_slope(B04_mean, ndvi) as b04_slope,
    regr_slope(B05_mean, ndvi) as b05_slope,
    regr_slope(B06_mean, ndvi) as b06_slope,
    regr_slope(B07_mean, ndvi) as b07_slope,
    regr_slope(B08_mean, ndvi) as b08_slope,
    regr_slope(B8A_mean, ndvi) as b8a_slope,
    regr_slope(B11_mean, ndvi) as b11_slope,
    regr_slope(B12_mean, ndvi) as b12_slope
from (
    select *, ndvi(B04_mean, B08_mean) as ndvi from observed_s2($screen::integer[])
    where aoi = $aoi and year = $year and ptype = $ptype and hash(pid) % $step = 0
        and observable and not clouded
)
having count(*) > 0
