-- The extractions of $card that the ledger has. counts: whether signatures of it count; partly: whether some of its parcels have other
-- outlines by now, so that theirs do not.
select
    extraction, bool_or(counting.extraction is not null) as counts,
    bool_or(outlines in (select outlines from outdated)) is true as partly
from (select distinct extraction from ledger where card = $card and status = 'done')
left join (from counting where card = $card) as counting using (extraction)
group by extraction
