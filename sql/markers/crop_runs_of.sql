-- The runs of which the crop checks of the set $aoi, $year, $ptype are: one, or none where there is no check. Of each the last day that it
-- used, what it promised (alpha) and how it was set (settings, JSON); these two are null where the record of the run is lost.
select run, judged.day, made.alpha, made.settings
from (select run, max(day) as day from crop_checks where aoi = $aoi and year = $year and ptype = $ptype group by run) as judged
left join crop_runs as made using (run)
order by run
