-- The looks of Sentinel-2 at parcel $pid of $aoi, $year and $ptype by time, as the view observations has them: every index, and whether
-- and why not each is usable when the scene classes $screen (usually 3, 8, 9, 10, 11) are screened.
select * exclude (aoi, year, ptype, pid, value)
from observations_s2($screen::integer[])
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, share desc nulls last, scene
