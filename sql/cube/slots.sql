-- The slots that count in the cubes of $card, on $grid or, where that is null, on every grid: extracted with a cube over parcels of
-- $aoi and $year (null: any) with the offset that the scene has now, not superseded there, not suspect. Of two products of one
-- acquisition only the better one. bands names what was extracted: other bands of that slot may be incomplete.
-- What counts in a cube is decided here and nowhere else.
with cubed as (
    select distinct card, scene, aoi, year::integer as year, ptype, boa_offset, unnest(bands) as band
    from ledger
    where status = 'done' and cube and card = $card
        and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year::integer = $year)
),
counting as (
    select slots.grid, slots.slot, slots.scene, slots.obstime, slots.boa_offset, list_sort(list(distinct cubed.band)) as bands
    from slots
    join cubed on cubed.card = slots.card and cubed.scene = slots.scene
        and coalesce(cubed.boa_offset, slots.boa_offset) = slots.boa_offset
    where slots.card = $card and ($grid::varchar is null or slots.grid = $grid)
        and (cubed.card, cubed.scene, cubed.aoi, cubed.year, cubed.ptype) not in (from superseded)
    group by all
)
select counting.*
from counting
join scenes on scenes.card = $card and scenes.id = counting.scene and scenes.boa_offset = counting.boa_offset
where scenes.suspect is null
qualify not (scenes.superseded and bool_or(not scenes.superseded) over (partition by counting.grid, scenes.acquisition))
    and scenes.processing_rank = max(scenes.processing_rank) over (partition by counting.grid, scenes.acquisition)
order by counting.grid, counting.obstime, counting.scene
