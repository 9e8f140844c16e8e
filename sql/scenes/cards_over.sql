-- The cards of which a scene from $start up to, not including, $stop has a box that holds the point $lon, $lat, without superseded ones
-- and those that somebody left out.
select distinct card
from scenes
where obstime >= $start and obstime < $stop and not superseded and left_out is null
    and bbox.xmin <= $lon and bbox.xmax >= $lon and bbox.ymin <= $lat and bbox.ymax >= $lat
order by card
