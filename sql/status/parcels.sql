-- The parcel sets in force and how much of them is extracted. older: scenes whose extraction is of a version of the set with other
-- outlines (the first part of the version), so that parcels which have changed since are missing from them; extract again, only those
-- are done. signatures: as they were written, also those of parcels that have changed since, which count no more.
select
    parcels.aoi, parcels.year, parcels.ptype, parcels.parcels, parcels.hectares, extracted.card, extracted.scenes, extracted.older,
    extracted.signatures
from (
    select aoi, year, ptype, any_value(version) as version, count(*) as parcels, round(sum(area_m2) / 10000, 1) as hectares
    from parcels group by aoi, year, ptype
) as parcels
left join (
    select
        done.aoi, done.year, done.ptype, card, count(*) as scenes,
        count(*) filter (split_part(done.parcels, '_', 1) <> split_part(sets.version, '_', 1)) as older, sum("rows")::bigint as signatures
    from done
    join (select distinct aoi, year, ptype, version from parcels) as sets using (aoi, year, ptype)
    group by done.aoi, done.year, done.ptype, card
) as extracted using (aoi, year, ptype)
order by all
