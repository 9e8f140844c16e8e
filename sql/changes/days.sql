-- The day (UTC) of each catalogued scene of $card that was extracted over $aoi, $year and $ptype.
select known.id as scene, any_value(known.datetime)::date as day
from current_scenes as known
join extractions on extractions.card = known.card and extractions.scene = known.id
where known.card = $card and extractions.aoi::varchar = $aoi and extractions.year = $year and extractions.ptype = $ptype
group by known.id
order by known.id
