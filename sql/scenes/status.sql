-- How many scenes of each card are catalogued, extracted, failed, changed since they were extracted (see the view scenes), superseded
-- and left out (of these none is counted as failed), with their first and last day.
select
    card, count(*) as scenes, count(*) filter (status = 'extracted') as extracted, count(*) filter (status = 'failed' and left_out is null) as failed,
    count(*) filter (status = 'changed') as changed,
    count(*) filter (superseded) as superseded, count(left_out) as left_out, min(obstime)::date as first_day, max(obstime)::date as last_day
from scenes
group by card
order by card
