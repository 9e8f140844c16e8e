-- The markers that the search left as part $part for the parcels of $aoi and $year, parcel by parcel; $pids limits them,
-- null takes all.
select pid, marker, marker_type, date_start, date_main, date_end, value_1, value_2, value_3, practice, confidence, observable
from (select * from marked union all by name select null::double as confidence, null::boolean as observable where false)
where aoi::varchar = $aoi and year = $year and part = $part
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
order by pid, marker, date_start
