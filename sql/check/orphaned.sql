-- Signatures of each card in the table present (card, extraction, found, aside, bytes) whose extraction the table ledger does not have.
select card, count(*) as extractions, sum(found)::bigint as signatures, sum(bytes)::bigint as bytes
from present
where found > 0 and extraction not in (select extraction from ledger where status = 'done')
group by card
order by card
