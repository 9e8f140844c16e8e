-- The markers of $aoi and $year, for tables that others read; all in one part.
select *, 'all' as part from markers where aoi = $aoi and year = $year
