-- The changes of lights, markers and scenes of $aoi and $year, for tables that others read; all in one part.
select *, 'all' as part from changes where aoi = $aoi and year = $year
