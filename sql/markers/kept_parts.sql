-- The parts that an earlier search of parcels of $aoi and $year left as part $part of the table, without those of the parcels $pids.
select * from divided
where aoi::varchar = $aoi and year = $year and part = $part and not list_contains($pids::varchar[], pid)
