-- The slots that count in the cubes of $card, on $grid or, where that is null, on every grid: extracted with a cube over parcels of
-- $aoi and $year (null: any) with the offset that the scene has now, superseded over none of them, not suspect. bands names what was
-- extracted: other bands of that slot may be incomplete. What counts in a cube is decided here, with the table cubed, and nowhere else.
select grid, slot, scene, obstime, boa_offset, flatten(list(bands)) as bands
from cubed
anti join (
    select scene
    from superseded
    where card = $card and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year)
) as replaced using (scene)
where card = $card and ($grid::varchar is null or grid = $grid)
    and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year)
group by grid, slot, scene, obstime, boa_offset
order by grid, obstime, scene
