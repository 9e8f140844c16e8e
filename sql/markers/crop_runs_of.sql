-- The runs of which the crop checks of the set $aoi, $year, $ptype are, with the last day that each used: one, or none where there is no check.
select run, max(day) as day
from crop_checks
where aoi = $aoi and year = $year and ptype = $ptype
group by run
order by run
