-- The parcels of $aoi, $year and $ptype over which scenes $scenes of coherence have rows.
select distinct pid
from c6
where aoi = $aoi and year = $year and ptype = $ptype and scene in (select unnest($scenes::varchar[]))
order by pid
