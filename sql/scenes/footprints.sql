-- Where the scenes of $card lie: each different footprint (WKB, degrees) with how many scenes have it and its first and last day.
select any_value(tile) as tile, count(*) as scenes, min(obstime)::date as first_day, max(obstime)::date as last_day, footprint
from scenes
where card = $card
group by footprint
order by scenes desc, first_day
