-- The nights on which the changes of $aoi, $year and $ptype were recorded, the last one first: as of which day, in which run, when, and
-- what the lake held then (rests_on, JSON). null takes all.
select aoi::varchar as aoi, year::integer as year, ptype, day, run, recorded, rests_on, sequence
from changed
where kind = 'night' and ($aoi::varchar is null or aoi::varchar = $aoi) and ($year::integer is null or year = $year)
    and ($ptype::varchar is null or ptype = $ptype)
order by sequence desc, aoi, year, ptype
