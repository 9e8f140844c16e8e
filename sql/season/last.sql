-- The last run, by the sequence of the journal: who, by which file, when, what came of it (outcome: done, failed or interrupted; null
-- while it runs or after it was killed), how many steps it took and how many of them failed, when its latest row was written (active),
-- and when the last run without a failure ended (good).
with latest as (
    select run
    from runs
    order by sequence desc, number desc
    limit 1
), numbered as (
    select runs.*, step = 'run' and status <> 'begun' as ends
    from runs
    semi join latest using (run)
)
select
    run, any_value(who) as who, any_value(file) as file, any_value(version) as version,
    min(started) filter (step = 'run') as started,
    max(finished) filter (ends) as finished,
    max(seconds) filter (ends) as seconds,
    any_value(status) filter (ends) as outcome,
    any_value(problem) filter (ends) as problem,
    count(*) filter (step <> 'run') as steps,
    count(*) filter (step <> 'run' and status = 'failed') as failed,
    coalesce(sum(rows) filter (step <> 'run'), 0)::bigint as rows,
    coalesce(sum(scenes) filter (step <> 'run'), 0)::bigint as scenes,
    arg_max(coalesce(finished, started), (sequence, number)) as active,
    (
        select arg_max(finished, (sequence, number))
        from runs
        where step = 'run' and status = 'done'
    ) as good
from numbered
group by run
