-- All parcels of $aoi, $year and $ptype as they were declared, by their identifiers; the outlines (WKB) where $outlines is true.
select pid, crop_name, crop_code, area_m2, epsg, centroid_lon, centroid_lat, if($outlines, geometry, null) as geometry
from parcels
where aoi = $aoi and year = $year and ptype = $ptype
order by pid
