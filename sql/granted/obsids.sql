-- The numbers of the scenes $scenes (card/id); null is all.
select *
from obsids
where $scenes::varchar[] is null or concat(card, '/', scene) in (select unnest($scenes::varchar[]))
order by all
