-- The present lights of the parcels $pids of $aoi, $year and $ptype, as nights recorded them, in the scenarios $scenarios; null is all.
select scenario, colour, reason, due, day from lights
where aoi = $aoi and year = $year and ptype = $ptype and list_contains($pids::varchar[], pid)
    and ($scenarios::varchar[] is null or list_contains($scenarios::varchar[], scenario))
order by scenario
