-- The s2 statistics of parcel $pid of $aoi, $year and $ptype, one row per scene, by time, as the view s2 has them; seen: whether
-- enough of the parcel was.
select is_seen(share) as seen, *
from s2
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
