-- Scenes of $card from $start up to, not including, $stop whose box holds the point $lon, $lat, in the order of time; superseded ones
-- are left out.
select id, obstime, reference, card, processing_baseline, boa_offset, cloud_cover, footprint, assets
from scenes
where card = $card and obstime >= $start and obstime < $stop and not superseded
    and bbox.xmin <= $lon and bbox.xmax >= $lon and bbox.ymin <= $lat and bbox.ymax >= $lat
order by obstime, id
