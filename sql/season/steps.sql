-- What the run $run did, step by step; null is the last run.
select number, step, aoi, year, ptype, what, status, problem, rows, scenes, started, finished, seconds, who, file, version, run
from runs
where run = coalesce($run, (select arg_max(run, (sequence, number)) from runs))
order by sequence, number
