-- The parcels of a season in the order in which they are to be looked at: the worst light first, by the order of colours $worst, then by
-- the rank of the crop check, then by pid. Of the scenario $scenario those that have a light in it; where it is null all that are declared,
-- each with its worst light. change: what is other since the last visit, of other scenarios with their names.
with worst as (
    select * from lights
    qualify row_number() over (partition by pid order by list_position($worst::varchar[], colour), scenario) = 1
),
news as (
    select
        pid, string_agg(
            case when changes.scenario is null or changes.scenario = worst.scenario then change else changes.scenario || ': ' || change end,
            '; ' order by changes.scenario is null, changes.scenario <> worst.scenario, changes.scenario
        ) as change
    from changes
    left join worst using (pid)
    where $scenario::varchar is null or changes.scenario is null or changes.scenario = $scenario
    group by pid
)
select
    declared.pid, colour, scenario, reason, due, crop, area_ha, foi, crop_check, crop_rank, change, changed
from declared
left join worst using (pid)
left join checks using (pid)
left join foi using (pid)
left join news using (pid)
where $scenario::varchar is null or colour is not null
order by list_position($worst::varchar[], colour) nulls last, crop_rank nulls last, pid
