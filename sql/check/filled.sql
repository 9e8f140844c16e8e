-- Which bands at which slots of cubes extractions in the table ledger filled, with the scene.
select distinct card, scene, placed.grid as grid, placed.slot as slot, unnest(bands) as band
from (select card, scene, bands, unnest(slots) as placed from ledger where status = 'done' and cube and slots is not null)
order by all
