-- The declared parcels of $aoi, $year and $ptype as a worklist shows them: pid, crop (its name, or its code where it has none) and area_ha.
select pid, coalesce(nullif(trim(crop_name), ''), crop_code) as crop, area_m2 / 10000 as area_ha
from parcels
where aoi = $aoi and year = $year and ptype = $ptype
order by pid
