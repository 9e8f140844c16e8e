-- Scenes that failed, over which parcels, and why; not those that somebody left out.
select card, scene, aoi, year, ptype, problem, finished
from extractions
where status = 'failed' and (card, scene) not in (select card, scene from left_out)
order by card, scene
