-- Scenes of $card from $start up to, not including, $stop that count, in the order of time: not superseded, not suspect.
select id, obstime, boa_offset, footprint, assets
from scenes
where card = $card and obstime >= $start and obstime < $stop and not superseded and suspect is null
order by obstime, id
