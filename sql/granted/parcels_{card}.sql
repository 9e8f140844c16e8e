-- The statistics by {title} of the parcels $pids of $aoi, $year and $ptype, by parcel and time.
select * from {card} where aoi = $aoi and year = $year and ptype = $ptype and pid in (select unnest($pids::varchar[])) order by pid, obstime, scene
