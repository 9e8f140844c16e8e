-- The shifts of scenes over the areas $aois; null is all.
select *
from measured_shifts
where $aois::varchar[] is null or aoi in (select unnest($aois::varchar[]))
order by all
