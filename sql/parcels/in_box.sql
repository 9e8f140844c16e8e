-- Parcels of $aoi, $year and $ptype whose box meets the box $xmin, $ymin, $xmax, $ymax in the area's own coordinate system.
select pid, crop_name, crop_code, epsg, geometry, area_m2, centroid_lon, centroid_lat
from parcels
where aoi = $aoi and year = $year and ptype = $ptype
    and bbox.xmax >= $xmin and bbox.xmin <= $xmax and bbox.ymax >= $ymin and bbox.ymin <= $ymax
order by pid
