-- The weather cells of the areas $aois; null is all.
select * from weather_boxes where $aois::varchar[] is null or aoi in (select unnest($aois::varchar[])) order by all
