-- What the catalogue says of the scenes that count, neither superseded nor left out, without their rasters.
select
    card, id, datetime, platform, sensor, reference, "eo:cloud_cover", "proj:code", "grid:code", "sat:relative_orbit", "sat:orbit_state",
    "s2:processing_baseline", geometry
from current_scenes
where (card, id) not in (select card, older from superseding) and (card, id) not in (select card, scene from left_out)
order by card, id
