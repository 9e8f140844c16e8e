-- The content of the whole lake in two rows: how many extractions count, and how many were tried, with one number of each that is
-- another where they are others; no row of what there is nothing of.
select 'counting' as content, count(*) as extractions, bit_xor(hash(card, extraction, aoi, year, ptype, parcels))::varchar as digest
from counting having count(*) > 0
union all
select 'tried', count(*), bit_xor(hash(card, scene, aoi, year, ptype, status, problem))::varchar
from extractions having count(*) > 0
order by 1
