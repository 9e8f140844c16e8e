-- How many scenes of each card are catalogued, extracted, failed, and changed since they were extracted (see the view scenes), with
-- their first and last day.
select
    card, count(*) as scenes, count(*) filter (status = 'extracted') as extracted, count(*) filter (status = 'failed') as failed,
    count(*) filter (status = 'changed') as changed,
    count(*) filter (superseded) as superseded, min(obstime)::date as first_day, max(obstime)::date as last_day
from scenes
group by card
order by card
