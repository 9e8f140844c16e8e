-- What the ledger has of the areas $aois; null is all. Where in a cube the pixels of a scene stand is told with all areas only: cubes are
-- shared, and the places count what others put there.
select * replace (case when $aois::varchar[] is null then slots end as slots)
from ledger
where $aois::varchar[] is null or aoi in (select unnest($aois::varchar[]))
order by all
