-- The markers of the dump ("markers_dump", every column as it came; declared holds the pids of the parcels), with the reason where one is
-- refused.
with given as (
    select *, concat_ws(',', foi_id, marker, date_start, pid) as line, coalesce(date_start, date_main, date_end) as any_date from markers_dump
)
select
    pid, foi_id, marker, marker_type, try_cast(date_start as date) as date_start, try_cast(date_main as date) as date_main,
    try_cast(date_end as date) as date_end, try_cast(try_cast(duration_days as double) as integer) as duration_days,
    try_cast(value_1 as double) as value_1, try_cast(value_2 as double) as value_2, try_cast(value_3 as double) as value_3, practice,
    null::double as confidence, null::boolean as observable, line,
    case
        when pid is null or pid not in (select pid from declared) then 'no parcel has this pid'
        when any_date is not null and try_cast(any_date as date) is null then 'its date is no date'
    end as reason
from given
order by pid, date_start, marker, foi_id
