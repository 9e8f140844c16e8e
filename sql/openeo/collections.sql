-- The cards of which areas $aois (null: all) have signatures: the number of scenes, the first and the last that is catalogued, the areas.
select done.card, count(distinct scene) as scenes, min(datetime) as first, max(datetime) as last, list_sort(list(distinct aoi)) as aois
from done
left join current_scenes on current_scenes.card = done.card and current_scenes.id = done.scene
where $aois::varchar[] is null or list_contains($aois::varchar[], aoi)
group by done.card
order by done.card
