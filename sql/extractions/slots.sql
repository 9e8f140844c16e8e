-- The slots of scenes on the time axis of the cube of $card and $grid; stamps tells from which files, by band, pixels may stand there
-- (JSON; null in slots of version 0.1).
select
    slot, any_value(scene) as scene, any_value(obstime) as obstime, any_value(boa_offset) as boa_offset,
    max_by(stamps, length(stamps)) as stamps
from slots
where card = $card and grid = $grid
group by slot
order by slot
