-- The c6 statistics of parcel $pid of $aoi, $year and $ptype, one row per scene, by time, as the view c6 has them; seen: whether
-- enough of the parcel was.
select is_seen(share) as seen, *
from c6
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
