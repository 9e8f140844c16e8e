-- The parcels of $aoi and $year, for tables that others read; all in one part.
select *, 'all' as part from parcels where aoi = $aoi and year = $year
