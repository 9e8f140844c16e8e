-- The last day on which a scene was extracted over $aoi, $year and $ptype; null before there is one.
select max(scenes.obstime)::date as day
from (select distinct card, scene from ledger where status = 'done' and aoi = $aoi and year = $year and ptype = $ptype) as tried
join (select card, id as scene, datetime as obstime from current_scenes) as scenes using (card, scene)
