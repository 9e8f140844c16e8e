-- The {card} statistics of parcel $pid of $aoi, $year and $ptype, one row per scene, by time, as the view {card} has them; seen: whether
-- enough of the parcel was.
select is_seen(share) as seen, *
from {card}
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
