-- Scenes that failed, over which parcels, and why.
select card, scene, aoi, year, ptype, problem, finished
from extractions
where status = 'failed'
order by card, scene
