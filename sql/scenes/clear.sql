-- Sentinel-2 scenes over the parcels of $aoi and $year: how many parcels have data, how many of them no pixel in the scene classes
-- $screen (usually 3, 8, 9, 10, 11), and how much the clear ones differ in NDVI; the clearest and most varied first.
select
    scene, any_value(obstime) as obstime, count(*) as parcels, count(*) filter (clear) as clear,
    stddev_pop(value) filter (clear) as spread
from (
    select scene, obstime, ndvi(B04_mean, B08_mean) as value, coalesce(share_of(scl, $screen::integer[]) = 0, false) as clear
    from s2
    where aoi = $aoi and year = $year and observable
)
group by scene
order by clear desc, spread desc
