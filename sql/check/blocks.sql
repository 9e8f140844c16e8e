-- The blocks of cubes that extractions in the table ledger wrote, with the sizes that their files may have, and the scene.
select card, scene, block.grid, placed.slot, block.band, block."row", block.col, list(distinct block.bytes order by block.bytes) as sizes
from (select card, scene, unnest(blocks) as block, slots from ledger where status = 'done' and blocks is not null)
cross join unnest(slots) as named(placed)
where placed.grid = block.grid
group by all
order by all
