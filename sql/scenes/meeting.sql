-- Scenes of $card from $start up to, not including, $stop whose box meets the box $west, $south, $east, $north in degrees, the ones with
-- the fewest clouds first, without superseded ones and those that somebody left out.
select id, obstime, reference, card, processing_baseline, boa_offset, cloud_cover, footprint, assets
from scenes
where card = $card and obstime >= $start and obstime < $stop and not superseded and left_out is null
    and bbox.xmin <= $east and bbox.xmax >= $west and bbox.ymin <= $north and bbox.ymax >= $south
order by cloud_cover nulls last, obstime desc, id
