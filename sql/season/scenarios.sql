-- The scenarios in which a parcel of the set $aoi, $year, $ptype has a colour now.
select distinct scenario
from lights
where aoi = $aoi and year = $year and ptype = $ptype
order by scenario
