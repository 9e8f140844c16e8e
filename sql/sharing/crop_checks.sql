-- The verdicts of the crop check of $aoi and $year, for tables that others read; all in one part.
select *, 'all' as part from crop_checks where aoi = $aoi and year = $year
