-- All statistics of the parcels of $aoi, $year and $ptype by {title}, a row per parcel and scene, as they lie in the files.
select * from {card} where aoi = $aoi and year = $year and ptype = $ptype
