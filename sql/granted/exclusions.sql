-- The decisions to leave out or put back the scenes $scenes (card/id); null is all.
select *
from exclusions
where $scenes::varchar[] is null or concat(card, '/', scene) in (select unnest($scenes::varchar[]))
order by all
