-- Scenes of $card from $start up to, not including, $stop, with at most $clouds percent of clouds (those of which that is not
-- known too), in the order of time: what is known of each without its rasters, and what became of it.
select id, obstime, sensor, processing_baseline as baseline, cloud_cover, tile, status, superseded, left_out, problem
from scenes
where card = $card and obstime >= $start and obstime < $stop and coalesce(cloud_cover, 0) <= $clouds
order by obstime, id
