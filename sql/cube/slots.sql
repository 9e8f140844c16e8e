-- The slots that count in the cubes of $card, on $grid or, where that is null, on every grid: where the extraction of a scene as it is
-- catalogued now, over parcels of $aoi and $year (null: any), put its pixels, unless it is superseded there, suspect or left out. bands
-- names what was extracted: other bands of that slot may be incomplete. Where two areas have two products of one acquisition, only
-- the better one. What counts in a cube is decided here and nowhere else.
-- The ledger says which slots an extraction filled; version 0.1 knew them by the scene and its offset.
with cubed as (
    select ledger.scene, ledger.aoi, ledger.year::integer as year, ledger.ptype, ledger.boa_offset, bands, slots as places, finished
    from ledger
    join identities on identities.card = ledger.card and identities.id = ledger.scene
    where status = 'done' and cube and ledger.card = $card
        and coalesce(ledger.revision, first_revision) = known_revision
        and ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year::integer = $year)
        and (ledger.card, scene, aoi, year::integer, ptype) not in (from superseded)
        and (ledger.card, scene) not in (select card, scene from suspected)
        and (ledger.card, scene) not in (select card, scene from left_out)
),
named as (
    select scene, bands, finished, place.grid as grid, place.slot as slot
    from (select scene, bands, finished, unnest(places) as place from cubed where places is not null)
    union all
    select cubed.scene, bands, finished, slots.grid, slots.slot
    from cubed
    join slots on slots.card = $card and slots.scene = cubed.scene and slots.stamps is null
        and coalesce(cubed.boa_offset, slots.boa_offset) = slots.boa_offset
    where places is null
),
known as (
    select grid, slot, any_value(obstime) as obstime, any_value(boa_offset) as boa_offset
    from slots
    where card = $card
    group by grid, slot
),
latest as (
    select * from named qualify slot = max_by(slot, finished) over (partition by scene, grid)
)
select latest.grid, latest.slot, latest.scene, known.obstime, known.boa_offset, list_sort(list(distinct band)) as bands
from (select scene, grid, slot, unnest(bands) as band from latest) as latest
join known using (grid, slot)
join scenes on scenes.card = $card and scenes.id = latest.scene and scenes.boa_offset = known.boa_offset
where ($grid::varchar is null or latest.grid = $grid) and not exists (
    select 1
    from superseding
    join named as better on better.scene = superseding.newer and better.grid = latest.grid
    where superseding.card = $card and superseding.older = latest.scene
)
group by all
order by latest.grid, known.obstime, latest.scene
