-- How many scenes of each card were extracted over the parcels of $aoi and $year, how many signatures that gave, whether or not they count
-- now, and the seconds from the start of the first to the end of the last (runs on different days count with the time between them). Where
-- only the parcels that had changed were extracted again, the signatures of the others are those of the extraction before.
select
    card, count(distinct (scene, ptype)) as scenes, sum(signatures)::bigint as signatures,
    sum((signatures * len(bands))::bigint)::bigint as statistics, epoch(max(finished)) - epoch(min(started)) as seconds
from chain
join (
    select extraction, arg_max("rows", attempt) as signatures, arg_max(bands, attempt) as bands, min(started) as started, max(finished) as finished
    from ledger where status = 'done' group by extraction
) as recorded using (extraction)
where aoi = $aoi and year = $year
group by card
order by list_position([<<card: '{card}'>>], card)
