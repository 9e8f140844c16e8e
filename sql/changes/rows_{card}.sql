-- The parcels of $aoi, $year and $ptype of which the extractions $extractions of {card} have rows, whether these count or are set aside.
select distinct pid, scene, extraction
from (
    select aoi, year, ptype, pid, scene, extraction from signatures_{card}
    union all
    select aoi, year, ptype, pid, scene, extraction from aside_{card}
)
where aoi::varchar = $aoi and year = $year and ptype = $ptype and extraction in (select unnest($extractions::bigint[]))
order by pid, scene, extraction
