-- The verdicts of the offset guard on the scenes $scenes (card/id); null is all.
select *
from suspects
where $scenes::varchar[] is null or concat(card, '/', scene) in (select unnest($scenes::varchar[]))
order by all
