-- The identifiers of all catalogued scenes of $card, or with null of all cards.
select card, id from scenes where $card::varchar is null or card = $card order by card, id
