-- How many parcels there are of $aoi, $year and $ptype.
select count(*) as parcels from parcels where aoi = $aoi and year = $year and ptype = $ptype having count(*) > 0
