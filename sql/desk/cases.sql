-- Cases in the order in which they are to be settled: open, answered, notified, closed; of each those with the nearest date of answer, then
-- the oldest. The outcome of a closed case is its decision. What was declared as `declared` says.
select
    cases.pid, status, scenario, colour, reason, cases.day, answer_by, opened, crop, area_ha, case_id,
    case when status = 'closed' then outcome end as decision, cases.who, cases.decided, cases.note
from cases
left join declared using (pid)
order by list_position(['open', 'answered', 'notified', 'closed'], status), answer_by nulls last, opened, pid, scenario, case_id
