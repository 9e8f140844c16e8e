-- Every catalogue entry of the scenes $scenes (card/id); null is all.
select *
from stac_scenes
where $scenes::varchar[] is null or concat(card, '/', id) in (select unnest($scenes::varchar[]))
order by all
