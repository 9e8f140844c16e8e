-- How many scenes of each card were extracted over the parcels of $aoi and $year, how many signatures that gave, and the seconds
-- from the start of the first to the end of the last (runs on different days count with the time between them).
select
    card, count(*) as scenes, sum("rows")::bigint as signatures, sum(("rows" * len(bands))::bigint)::bigint as statistics,
    epoch(max(finished)) - epoch(min(started)) as seconds
from extractions
where aoi = $aoi and year = $year and status = 'done'
group by card
order by list_position([<<card: '{card}'>>], card)
