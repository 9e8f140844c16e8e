-- The parcels of $aoi, $year and $ptype that are declared now; null takes all.
select distinct pid
from parcels
where ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year) and ($ptype::varchar is null or ptype = $ptype)
order by pid
