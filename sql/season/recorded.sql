-- Up to which sequence changes of the parcel set $aoi, $year, $ptype are recorded; no row where none are.
select max(sequence) as sequence
from changed
where aoi = $aoi and year = $year and ptype = $ptype
having count(*) > 0
