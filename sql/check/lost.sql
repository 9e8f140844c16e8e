-- Extractions that count, by the tables ledger and extraction_lineage, of which the table present (card, extraction, found, aside, bytes) has more or
-- fewer signatures than the ledger says (those of all pixels and those of clear pixels alone), those that were set aside (aside) among them; after a command that was killed a row may stand in both.
select counting.card, scene, aoi, year, ptype, extraction, recorded, coalesce(found + aside, 0) as found
from (select distinct card, scene, aoi, year, ptype, extraction from extraction_lineage) as counting
join (select extraction, arg_max("rows" + coalesce(clear, 0), attempt) as recorded from ledger where status = 'done' group by extraction)
    using (extraction)
left join present using (card, extraction)
where recorded > coalesce(found + aside, 0) or recorded < found
order by all
