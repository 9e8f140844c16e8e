-- How many scenes of each card are catalogued, extracted and failed, with their first and last day.
select
    card, count(*) as scenes, count(*) filter (status = 'extracted') as extracted, count(*) filter (status = 'failed') as failed,
    count(*) filter (superseded) as superseded, min(obstime)::date as first_day, max(obstime)::date as last_day
from scenes
group by card
order by card
