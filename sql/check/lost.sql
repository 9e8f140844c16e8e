-- Extractions that count, by the tables ledger and lineage, of which the table present (card, extraction, found, bytes) has more or
-- fewer signatures than the ledger says.
select counting.card, scene, aoi, year, ptype, extraction, recorded, coalesce(found, 0) as found
from (select distinct card, scene, aoi, year, ptype, extraction from lineage) as counting
join (select extraction, arg_max("rows", attempt) as recorded from ledger where status = 'done' group by extraction)
    using (extraction)
left join present using (card, extraction)
where recorded <> coalesce(found, 0)
order by all
