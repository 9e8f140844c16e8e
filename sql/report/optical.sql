-- What Sentinel-2 saw of parcel $pid of $aoi, $year and $ptype, by time: the mean of each band (DN, reflectance x 10000), NDVI,
-- pixels of B04, the share of its pixels in the scene classes $screen (null where none is classified), the share of the parcel that was
-- seen, and whether there were enough pixels and enough of the parcel was seen; clear_share: which share is clear of what was
-- seen of the parcel, where the numbers are of its clear pixels alone less than 1 though the cloud of these is 0.
select
    scene, obstime, B04_count as count, ndvi(B04_mean, B08_mean) as ndvi, cloud, share, if(clear_part, clear_share / nullif(share, 0), clear_share) as clear_share,
    observable,
    B02_mean as b02, B03_mean as b03, B04_mean as b04, B05_mean as b05, B06_mean as b06,
    B07_mean as b07, B08_mean as b08, B8A_mean as b8a, B11_mean as b11, B12_mean as b12
from observed_s2($screen::integer[])
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
