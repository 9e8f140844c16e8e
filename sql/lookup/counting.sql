-- The extractions of $card whose signatures count.
select extraction from counting where card = $card
