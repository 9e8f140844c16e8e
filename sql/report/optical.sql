-- What Sentinel-2 saw of parcel $pid of $aoi, $year and $ptype, by time: the mean of each band (DN, reflectance x 10000), NDVI,
-- pixels of B04, the share of its pixels in the scene classes $screen, and whether there were enough pixels.
select
    scene, obstime, B04_count as count, ndvi(B04_mean, B08_mean) as ndvi, share_of(scl, $screen::integer[]) as cloud, observable,
    columns('^B.*_mean$')
from s2
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
