-- The present colour of each parcel in each scenario, as the changes add up to it: with its reason, when it is judged finally (due),
-- the markers that decided, and the day on which it became so.
create view lights as
select
    aoi, year, ptype, pid, scenario, after as colour, reason, due, date_start, date_end, events, confidence, day, sequence
from changes
where kind = 'light'
qualify row_number() over (partition by aoi, year, ptype, pid, scenario order by sequence desc) = 1 and after is not null
