-- The parts of parcels of $aoi, $year and $ptype on which something happened while it did not on the rest, with their polygons (WKB), by
-- parcel, date and part; $pids limits the parcels, null takes all.
select *
from parts
where aoi = $aoi and year = $year and ptype = $ptype and state is not null
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
order by pid, date_start, part
