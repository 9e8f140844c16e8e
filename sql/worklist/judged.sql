-- The judgements that stand on parcels of $aoi, $year and $ptype: on a scenario, or (scenario is empty) on the declaration as a whole.
select pid, scenario, decision, who, decided, note, colour, outdated
from judgements
where aoi = $aoi and year = $year and ptype = $ptype
order by pid, scenario
