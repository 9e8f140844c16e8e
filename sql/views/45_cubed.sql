-- Slots of cubes that count over an area's parcels of a year: extracted with a cube with the offset that the scene has now, not suspect;
-- bands names what was extracted. Which of them are superseded depends on the parcels asked about: see cube.slots.
-- A table, worked out once per snapshot: every chip asks for it.
create table cubed as
select slots.card, slots.grid, slots.slot, slots.scene, slots.obstime, slots.boa_offset, tried.aoi, tried.year, list(distinct tried.band) as bands
from slots
join (
    select card, scene, aoi, year::integer as year, boa_offset, unnest(bands) as band
    from ledger
    where status = 'done' and cube
) as tried on tried.card = slots.card and tried.scene = slots.scene
    and coalesce(tried.boa_offset, slots.boa_offset) = slots.boa_offset
join (
    select card, id, arg_max(boa_offset, ingested) as boa_offset from stac_scenes group by card, id
) as current on current.card = slots.card and current.id = slots.scene and current.boa_offset = slots.boa_offset
where (slots.card, slots.scene) not in (select card, scene from suspected)
group by all
