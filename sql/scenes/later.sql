-- The days (UTC) from that of $until on, of which scenes of any card are catalogued that nobody left out.
select distinct obstime::date as day
from scenes
where obstime >= $until and left_out is null
order by day
