-- The names by which changes of $aoi, $year and $ptype can be asked for: the scenarios of lights (name scenario), and the parcels that are
-- declared now or were (name pid), of $pids. null takes all.
select distinct 'scenario' as name, scenario as value
from changes
where kind = 'light' and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year) and ($ptype::varchar is null or ptype = $ptype)
union
select 'pid', pid
from changes
where pid in (select unnest($pids::varchar[])) and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year)
    and ($ptype::varchar is null or ptype = $ptype)
union
select 'pid', pid
from parcels
where pid in (select unnest($pids::varchar[])) and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year)
    and ($ptype::varchar is null or ptype = $ptype)
order by 1, 2
