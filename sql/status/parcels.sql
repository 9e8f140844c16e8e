-- The parcel sets in force and how much of them is extracted.
select
    parcels.aoi, parcels.year, parcels.ptype, parcels.parcels, parcels.hectares, extracted.card, extracted.scenes, extracted.signatures
from (
    select aoi, year, ptype, count(*) as parcels, round(sum(area_m2) / 10000, 1) as hectares from parcels group by all
) as parcels
left join (
    select aoi, year, ptype, card, count(*) as scenes, sum("rows") as signatures
    from extractions where status = 'done' group by all
) as extracted using (aoi, year, ptype)
order by all
