-- The sizes in bytes that the files of blocks had when extractions of card $card over the scenes $scenes (null: any) ended, by where
-- they stand in the cubes. Extractions of version 0.1 say nothing of it.
select distinct block.grid, placed.slot, block.band, block."row", block.col, block.bytes
from (
    select scene, unnest(blocks) as block, slots
    from ledger
    where card = $card and status = 'done' and ($scenes::varchar[] is null or list_contains($scenes::varchar[], scene))
)
cross join unnest(slots) as named(placed)
where placed.grid = block.grid
order by all
