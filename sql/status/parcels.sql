-- The parcel sets in force and how much of them is extracted. older: scenes whose extraction is of a version of the set with other
-- outlines (the first part of the version), so that parcels which have changed since are missing from them; extract again, only those
-- are done. signatures: the rows that count in the view of the card, those of clear pixels alone not among them: of all extractions that
-- a scene's rows are of, by the ledger; where outlines have changed since, so that some of the rows count no more, as the view has them.
select
    parcels.aoi, parcels.year, parcels.ptype, parcels.parcels, parcels.hectares, extracted.card, extracted.scenes, extracted.older,
    coalesce(seen.signatures, written.signatures, 0)::bigint as signatures
from (
    select aoi, year, ptype, any_value(version) as version, count(*) as parcels, round(sum(area_m2) / 10000, 1) as hectares
    from parcels group by aoi, year, ptype
) as parcels
left join (
    select
        done.aoi, done.year, done.ptype, card, count(*) as scenes,
        count(*) filter (split_part(done.parcels, '_', 1) <> split_part(sets.version, '_', 1)) as older
    from done
    join (select distinct aoi, year, ptype, version from parcels) as sets using (aoi, year, ptype)
    group by done.aoi, done.year, done.ptype, card
) as extracted using (aoi, year, ptype)
left join (
    select counting.aoi, counting.year, counting.ptype, counting.card, sum(recorded.signatures) as signatures
    from counting
    join (
        select extraction, arg_max("rows", attempt) as signatures from ledger where status = 'done' group by extraction
    ) as recorded using (extraction)
    group by counting.aoi, counting.year, counting.ptype, counting.card
) as written using (aoi, year, ptype, card)
left join (
    <<card union all: select {card}.aoi, {card}.year, {card}.ptype, '{card}' as card, count(*) as signatures from {card} semi join (from counting where card = '{card}' and outlines in (select outlines from outdated)) as partly using (aoi, year, ptype) group by {card}.aoi, {card}.year, {card}.ptype>>
) as seen using (aoi, year, ptype, card)
order by all
