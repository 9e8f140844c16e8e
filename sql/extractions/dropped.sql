-- Extractions of $card whose signatures no longer count, since their scene was extracted again over the same set.
select distinct extraction
from ledger
where card = $card and status = 'done' and extraction not in (select extraction from extraction_lineage)
