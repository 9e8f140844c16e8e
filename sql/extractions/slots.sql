-- The places of scenes on the time axis of the cube of $card and $grid.
select slot, scene, obstime, boa_offset
from slots
where card = $card and grid = $grid
order by slot
