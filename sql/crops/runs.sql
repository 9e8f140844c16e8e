-- The crop checks of $aoi, $year and $ptype, the last one first; $run is one of them, null takes all. verdicts: how many verdicts of a check
-- are in force, which those of a later one replace.
select crop_runs.*, coalesce(verdicts, 0) as verdicts
from crop_runs
left join (
    select run, count(*) as verdicts from crop_checks where aoi = $aoi and year = $year and ptype = $ptype group by run
) using (run)
where aoi = $aoi and year = $year and ptype = $ptype and ($run::varchar is null or run = $run)
order by sequence desc
