-- Where extractions put the pixels of scenes as they are catalogued now: a row per parcel set, grid and slot, with the bands that were
-- extracted; neither suspect scenes nor those left out. The ledger says which slots an extraction filled; version 0.1 knew them by the
-- scene and its offset. A table, worked out once per snapshot: every chip asks for it.
create table cubed as
with made as (
    select
        ledger.card, scene, aoi, ledger.year::integer as year, ptype, ledger.boa_offset, bands, ledger.slots as places, finished,
        coalesce(sequence, 0) as sequence
    from ledger
    join identities on identities.card = ledger.card and identities.id = ledger.scene
    where status = 'done' and cube and coalesce(ledger.revision, first_revision) = known_revision
        and (ledger.card, scene) not in (select card, scene from suspected)
        and (ledger.card, scene) not in (select card, scene from left_out)
),
known as (
    select card, grid, slot, any_value(scene) as scene, any_value(obstime) as obstime, any_value(boa_offset) as boa_offset,
        bool_or(stamps is null) as unstamped
    from slots
    group by card, grid, slot
),
named as (
    select * exclude (places, boa_offset, place), place.grid as grid, place.slot as slot
    from (select *, unnest(places) as place from made where places is not null)
    union all by name
    select made.* exclude (places, boa_offset), known.grid, known.slot
    from made
    join known on known.card = made.card and known.scene = made.scene and unstamped
        and coalesce(made.boa_offset, known.boa_offset) = known.boa_offset
    where places is null
)
select named.card, aoi, year, ptype, named.grid, named.slot, named.scene, known.obstime, known.boa_offset, bands, finished, named.sequence
from named
join known on known.card = named.card and known.grid = named.grid and known.slot = named.slot and known.scene = named.scene
join current_scenes on current_scenes.card = named.card and current_scenes.id = named.scene
    and current_scenes.boa_offset = known.boa_offset
