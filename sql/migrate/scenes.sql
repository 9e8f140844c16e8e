-- Every scene that the lake has catalogued, by what a dump can be matched with: its card and its product's name.
select card, reference, id, boa_offset
from scenes
order by superseded desc, ingested
