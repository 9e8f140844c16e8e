-- The lights (table now) that differ from those that are recorded (table was), and those that are gone.
select
    coalesce(now.pid, was.pid) as pid, coalesce(now.scenario, was.scenario) as scenario,
    was.after as before, now.colour as after,
    now.reason, now.due, now.date_start, now.date_end, now.events, now.confidence
from now
full join was on was.pid = now.pid and was.scenario = now.scenario
where (now.colour, now.reason, now.due, now.date_start, now.date_end, now.events, now.confidence)
    is distinct from (was.after, was.reason, was.due, was.date_start, was.date_end, was.events, was.confidence)
order by pid, scenario
