-- The slots that count in the cubes of $card, on $grid or, where that is null, on every grid, for parcels of $aoi and $year (null: any):
-- of each scene that is superseded over none of them the slot that was filled last. bands names what was extracted: other bands of that
-- slot may be incomplete. What counts in a cube is decided here, with the table cubed, and nowhere else.
with wanted as (
    select *
    from cubed
    where card = $card and ($grid::varchar is null or grid = $grid)
        and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year)
),
latest as (
    select * from wanted qualify slot = max_by(slot, (sequence, finished, slot)) over (partition by grid, scene)
)
select grid, slot, scene, obstime, boa_offset, list_sort(list_distinct(flatten(list(bands)))) as bands
from latest
anti join (
    select scene
    from superseded
    where card = $card and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year)
) as replaced using (scene)
group by grid, slot, scene, obstime, boa_offset
order by grid, obstime, scene
