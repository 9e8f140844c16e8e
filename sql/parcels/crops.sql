-- Parcels and hectares of each declared crop in $aoi and $year.
select crop_name, crop_code, count(*) as parcels, round(sum(area_m2) / 10000, 1) as hectares
from parcels
where aoi = $aoi and year = $year
group by all
order by hectares desc
