-- The parcel $pid of $aoi and $year; $ptype is the parcel set, '' the main one.
select pid, crop_name, crop_code, epsg, geometry, area_m2, centroid_lon, centroid_lat
from parcels
where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid
