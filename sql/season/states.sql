-- The state in which each step of a run was last done, or where nothing had changed since; null where it failed last.
select step, aoi, year, ptype, what, case when status in ('done', 'unchanged') then state end as state
from runs
where step <> 'run' and status <> 'interrupted'
qualify row_number() over (partition by step, aoi, year, ptype, what order by sequence desc, number desc) = 1
