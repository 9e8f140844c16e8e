-- The parcels of $aoi, $year and $ptype of which scenes $scenes of {card} have signatures that count.
select distinct pid, scene
from {card}
where aoi = $aoi and year = $year and ptype = $ptype and scene in (select unnest($scenes::varchar[]))
order by pid, scene
