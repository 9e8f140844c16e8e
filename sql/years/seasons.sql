-- The season of every parcel of $aoi, $year and $ptype as Sentinel-2 saw it, for the question whether it resembles a crop: a row per parcel and calendar
-- month, and one of all months (month null), in the order of pids (place, from 0). Of usable looks, with at most the share $cloud of the parcel in
-- the scene classes $screen: how many, the first and the last day; medians of NDVI, NDWI (B03, B08; McFeeters 1996), MNDWI (B03, B11; Xu 2006),
-- NDBI (B11, B08; Zha et al. 2003), red and swir (reflectances of B04 and B11); of all months also the quantiles of NDVI, the share of looks
-- that show water (NDWI or MNDWI above 0), and uneven, the median of B08's standard deviation over its mean.
with looks as (
    select
        pid, obstime, month(obstime) as month, ndvi(B04_mean, B08_mean) as ndvi, (B03_mean - B08_mean) / nullif(B03_mean + B08_mean, 0) as ndwi,
        (B03_mean - B11_mean) / nullif(B03_mean + B11_mean, 0) as mndwi, (B11_mean - B08_mean) / nullif(B11_mean + B08_mean, 0) as ndbi,
        B04_mean / 10000 as red, B11_mean / 10000 as swir, B08_std / nullif(B08_mean, 0) as uneven
    from observed_s2($screen::integer[], most := $cloud)
    where aoi = $aoi and year = $year and ptype = $ptype and is_usable(observable, unknown, clouded)
        and ndvi(B04_mean, B08_mean) is not null
)
select
    place::integer as place, month::integer as month, count(*)::integer as looks, min(obstime)::date as first, max(obstime)::date as last,
    median(ndvi)::float as ndvi, quantile_cont(ndvi, 0.1)::float as ndvi_p10, quantile_cont(ndvi, 0.9)::float as ndvi_p90,
    median(ndwi)::float as ndwi, median(mndwi)::float as mndwi, median(ndbi)::float as ndbi, median(red)::float as red,
    median(swir)::float as swir, avg((greatest(ndwi, mndwi) > 0)::integer)::float as water, median(uneven)::float as uneven
from looks
join (
    select pid, row_number() over (order by pid) - 1 as place from parcels where aoi = $aoi and year = $year and ptype = $ptype
) using (pid)
group by grouping sets ((place), (place, month))
order by place, month nulls first
