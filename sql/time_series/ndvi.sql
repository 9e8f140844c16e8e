-- NDVI of parcel $pid of $aoi, $year and $ptype by time, from the mean DN of B04 and B08; cloud is the share of its pixels in the
-- scene classes $screen (usually 3, 8, 9, 10, 11), null where none is classified; sky says clear, cloudy or unknown in a word; count its
-- pixels, share the share of the parcel that was seen, seen whether that is enough. A look is usable where it is observable and clear.
select
    obstime, ndvi(B04_mean, B08_mean) as ndvi, B04_count as count, cloud, observable, scene, sky(cloud) as sky, share,
    is_seen(share) as seen
from observed_s2($screen::integer[])
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype and B04_mean is not null and B08_mean is not null
order by obstime, share desc nulls last, scene
