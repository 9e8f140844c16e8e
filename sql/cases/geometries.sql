-- The geometries (WKB, in the coordinate system epsg) of the parcels $pids of $aoi, $year and $ptype; null is all.
select pid, epsg, geometry from parcels
where aoi = $aoi and year = $year and ptype = $ptype and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
order by pid
