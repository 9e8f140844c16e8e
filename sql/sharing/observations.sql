-- The looks of $aoi and $year at its parcels, for tables that others read; `part` is the month, which has its own files.
select *, strftime(obstime, '%Y-%m') as part from observations where aoi = $aoi and year = $year
