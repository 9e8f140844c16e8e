-- The signatures of card {card} of $aoi and $year, for tables that others read; `part` is the month, which has its own files.
select *, strftime(obstime, '%Y-%m') as part from {card} where aoi = $aoi and year = $year
