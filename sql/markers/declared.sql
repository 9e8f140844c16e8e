-- The parcels of $aoi, $year and $ptype in the order of their pids, with the declared crop; $pids limits them, null
-- takes all.
select pid, crop_name, crop_code from parcels where aoi = $aoi and year = $year and ptype = $ptype
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
order by pid
