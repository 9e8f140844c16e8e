-- The scenes of any card that were taken at $until or later of which signatures over $aoi, $year and $ptype count, and on which day (UTC).
select distinct scene, day
from (
    <<card union all: select scene, obstime::date as day from {card} where aoi = $aoi and year = $year and ptype = $ptype and obstime >= $until>>
)
order by day, scene
