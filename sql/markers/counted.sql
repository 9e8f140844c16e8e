-- The scenes whose signatures over $aoi, $year and $ptype count, of each card, each with what tells whether these are still the same:
-- the extractions that they are of, and the orbit by which coherence is compared.
select
    card, scene,
    concat_ws(' ', string_agg(distinct extraction::varchar, ' ' order by extraction::varchar), any_value(orbit)::varchar) as state
from (
    select counting.card, ledger.scene, counting.extraction, known."sat:relative_orbit" as orbit
    from counting
    join (select distinct card, extraction, scene from ledger where status = 'done') as ledger
        on ledger.card = counting.card and ledger.extraction = counting.extraction
    left join current_scenes as known on known.card = counting.card and known.id = ledger.scene
    where counting.aoi = $aoi and counting.year = $year and counting.ptype = $ptype
)
group by card, scene
order by card, scene
