-- The judgements that stand of $aoi and $year, for tables that others read; all in one part.
select *, 'all' as part from judgements where aoi = $aoi and year = $year
