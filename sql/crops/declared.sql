-- The parcels of $aoi, $year and $ptype in the order of their pids: the declared crop by HCAT code (where the view parcels has it), by name
-- and by code, area (m2), and the centroid (degrees, EPSG:4326).
select columns(lambda name: name in ('pid', 'hcat', 'crop_name', 'crop_code', 'area_m2', 'centroid_lon', 'centroid_lat'))
from parcels where aoi = $aoi and year = $year and ptype = $ptype
order by pid
