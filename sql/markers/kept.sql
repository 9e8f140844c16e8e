-- The markers that an earlier search for parcels of $aoi and $year left as part $part, without those of the parcels $pids.
select * from marked
where aoi::varchar = $aoi and year = $year and part = $part and not list_contains($pids::varchar[], pid)
