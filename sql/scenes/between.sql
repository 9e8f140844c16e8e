-- Scenes of $card from $start up to, not including, $stop, in the order of time; without superseded ones and those that somebody left out.
select id, obstime, reference, sensor, card, processing_baseline, boa_offset, cloud_cover, epsg, tile, footprint, bbox, assets, revision, source, links
from scenes
join (select card, id, links from current_scenes) using (card, id)
where card = $card and obstime >= $start and obstime < $stop and not superseded and left_out is null
order by obstime, id
