-- The judgements that stand on the parcels of $aoi, $year and $ptype, each with its id (parcel and scenario), by coordinate system.
select pid || ':' || scenario as id, * exclude (aoi, year, ptype, lights, parameters, parcels, version) from judgements
where aoi = $aoi and year = $year and ptype = $ptype
order by epsg, pid, scenario
