-- The greatest number that a marker of each parcel of $aoi, $year and $ptype ever had in the changes.
select pid, marker, max(number) as number
from changes
where aoi = $aoi and year = $year and ptype = $ptype and kind = 'marker'
group by pid, marker
