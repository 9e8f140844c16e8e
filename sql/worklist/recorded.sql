-- Whether nights have recorded lights of $aoi, $year and $ptype: one row, or none.
select aoi, year, ptype
from changes
where aoi = $aoi and year = $year and ptype = $ptype and kind = 'light'
limit 1
