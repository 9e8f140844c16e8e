-- The last day (UTC) on which a scene of any card was taken of which signatures over $aoi, $year and $ptype count, of those before $until
-- (null is all); no row where none does.
select max(day) as day
from (
    <<card union all: select max(obstime)::date as day from {card} where aoi = $aoi and year = $year and ptype = $ptype and ($until::timestamptz is null or obstime < $until)>>
)
having max(day) is not null
