-- Scenes whose pixels count where a cube has them: extracted with a cube over an area's parcels with the offset that they have now,
-- not suspect; bands names what was extracted. Which of them are superseded depends on the parcels asked about: see cube.slots.
-- A table, worked out once per snapshot: every chip asks for it.
create table cubed as
select tried.card, tried.scene, tried.aoi, tried.year, current.boa_offset, list(distinct tried.band) as bands
from (
    select card, scene, aoi, year::integer as year, boa_offset, unnest(bands) as band
    from ledger
    where status = 'done' and cube
) as tried
join (
    select card, id, arg_max(boa_offset, ingested) as boa_offset from stac_scenes group by card, id
) as current on current.card = tried.card and current.id = tried.scene
where coalesce(tried.boa_offset, current.boa_offset) = current.boa_offset
    and (tried.card, tried.scene) not in (select card, scene from suspected)
group by all
