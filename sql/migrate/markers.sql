-- The markers of the dump ("markers_dump", every column as it came) of the parcels in the table declared (key, pid: what the dump calls a
-- parcel, and its pid), with the reason where one is refused; $numbered: the dump calls them by number.
with given as (
    select
        markers_dump.* exclude (pid), markers_dump.pid as given, declared.pid,
        concat_ws(',', foi_id, marker, date_start, markers_dump.pid) as line,
        len([text for text in [date_start, date_main, date_end] if try_cast(text as date) is null and text is not null]) as undated,
        len([text for text in [duration_days, value_1, value_2, value_3] if try_cast(text as double) is null and text is not null]) as unread
    from markers_dump
    left join declared on declared.key = if($numbered, regexp_extract(markers_dump.pid, '^0*([0-9]+)([.]0+)?$', 1), markers_dump.pid)
)
select
    pid, foi_id, marker, marker_type, try_cast(date_start as date) as date_start, try_cast(date_main as date) as date_main,
    try_cast(date_end as date) as date_end, try_cast(try_cast(duration_days as double) as integer) as duration_days,
    try_cast(value_1 as double) as value_1, try_cast(value_2 as double) as value_2, try_cast(value_3 as double) as value_3, practice,
    null::double as confidence, null::boolean as observable, line,
    case
        when pid is null then 'no parcel has this pid'
        when undated > 0 then 'one of its dates is no date'
        when unread > 0 then 'one of its numbers cannot be read'
    end as reason
from given
order by given, date_start, marker, foi_id
