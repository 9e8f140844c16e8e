-- The days (UTC) from that of $until on, of which scenes of any card are catalogued that nobody left out; none where nothing in the
-- catalogue was made from $until on, neither a product nor an entry: then it is their dates that are wrong.
select distinct obstime::date as day
from scenes
where obstime >= $until and left_out is null
    and exists (select 1 from scenes as made where greatest(made.produced, made.ingested) >= $until)
order by day
