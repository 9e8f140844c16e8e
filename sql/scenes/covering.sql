-- Scenes of $card from $start up to, not including, $stop whose box holds the point $lon, $lat, in the order of time, without
-- superseded ones and those that somebody left out.
select id, obstime, reference, card, processing_baseline, boa_offset, cloud_cover, footprint, assets
from scenes
where card = $card and obstime >= $start and obstime < $stop and not superseded and left_out is null
    and bbox.xmin <= $lon and bbox.xmax >= $lon and bbox.ymin <= $lat and bbox.ymax >= $lat
order by obstime, id
