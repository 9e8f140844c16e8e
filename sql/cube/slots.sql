-- The slots that count in the cubes of $card, on $grid or, where that is null, on every grid: extracted with a cube over parcels of
-- $aoi and $year (null: any) with the offset that the scene has now, superseded over none of them, not suspect. bands names what was
-- extracted: other bands of that slot may be incomplete. What counts in a cube is decided here, with the table cubed, and nowhere else.
select slots.grid, slots.slot, slots.scene, slots.obstime, slots.boa_offset, flatten(list(cubed.bands)) as bands
from slots
join cubed on cubed.card = slots.card and cubed.scene = slots.scene and cubed.boa_offset = slots.boa_offset
anti join (
    select scene
    from superseded
    where card = $card and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year)
) as replaced on replaced.scene = slots.scene
where slots.card = $card and ($grid::varchar is null or slots.grid = $grid)
    and ($aoi::varchar is null or cubed.aoi = $aoi) and ($year::integer is null or cubed.year = $year)
group by slots.grid, slots.slot, slots.scene, slots.obstime, slots.boa_offset
order by slots.grid, slots.obstime, slots.scene
