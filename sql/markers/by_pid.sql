-- The events that an analysis found on parcel $pid of $aoi, $year and $ptype, by date (text, YYYY-MM-DD).
select
    foi_id, marker, marker_type, strftime(date_start, '%Y-%m-%d') as date_start, strftime(date_main, '%Y-%m-%d') as date_main,
    strftime(date_end, '%Y-%m-%d') as date_end, duration_days, value_1, value_2, value_3, pid, practice
from markers
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by date_start, marker, foi_id
