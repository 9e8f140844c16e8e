-- The extractions of $card that the ledger has as done.
select distinct extraction
from ledger
where card = $card and status = 'done'
