-- The geolocation shift of each scene over the parcels of $aoi, $year and $ptype, as it was estimated last, by time; see the view shifts.
select * from shifts where aoi = $aoi and year = $year and ptype = $ptype order by obstime, scene
