-- The {card} statistics of parcel $pid of $aoi, $year and $ptype, one row per scene, by time, as the view {card} has them. why_not: why they
-- are worth little, see not_observed(): small or cut, null where the parcel is observable.
select if(observable, null, not_observed({pixels}, share)) as why_not, *
from {card}
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
