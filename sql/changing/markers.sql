-- The states that markers have (table now) more or less often than is recorded (table was): of each how many there are now, and the
-- numbers of the recorded ones.
with states as (
    select null::integer as number, pid, marker, marker_type, date_start, date_main, date_end, practice, observable, true as present from now
    union all
    select number, pid, marker, marker_type, date_start, date_main, date_end, practice, observable, false from was
)
select
    pid, marker, marker_type, date_start, date_main, date_end, practice, observable,
    count(*) filter (present) as present, list(number order by number) filter (not present) as numbers
from states
group by pid, marker, marker_type, date_start, date_main, date_end, practice, observable
having count(*) filter (present) <> count(*) filter (not present)
order by pid, marker, coalesce(date_main, date_start, date_end), marker_type, date_start, date_end, practice, observable
