-- For each area and year a number that tells which rows of $card the ledger knows that do not count: it changes when another extraction
-- ceases to count or counts again, when other parcels are outdated, or when more was taken in outlines that some parcels no longer have.
with facts as (
    select distinct aoi, year::integer as year, hash('gone', extraction) as fact
    from ledger
    where card = $card and status = 'done' and extraction not in (select extraction from counting where card = $card)
    union
    select distinct aoi, year, hash('taken', extraction, outlines)
    from counting
    where card = $card and outlines in (select outlines from outdated)
    union
    select distinct aoi, year, hash('outdated', outlines, pid)
    from counting join outdated using (outlines)
    where card = $card
)
select aoi, year, (bit_xor(fact) >> 1)::bigint as state
from facts
group by aoi, year
