-- The crop checks of the areas $aois; null is all. Of which versions of the lake's tables they were made is told with all areas only, as these
-- count what was written for other areas, too.
select * replace (case when $aois::varchar[] is null then snapshot else '{}' end as snapshot)
from checks_of_crops
where $aois::varchar[] is null or aoi in (select unnest($aois::varchar[]))
order by all
