-- What runs did to the areas $aois; null is all. Who ran them and by which file, and what is of no area, is told with all areas only.
select * replace (case when $aois::varchar[] is null then who else '' end as who, case when $aois::varchar[] is null then file else '' end as file)
from runs
where $aois::varchar[] is null or aoi in (select unnest($aois::varchar[]))
order by all
