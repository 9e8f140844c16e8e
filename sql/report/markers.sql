-- What was found to happen on parcel $pid of $aoi, $year and $ptype, by date, and how sure it is.
select
    marker, marker_type, date_start, date_main, date_end, duration_days, value_1, value_2, value_3, practice, confidence, observable,
    foi_id
from markers
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by date_start, marker, foi_id
