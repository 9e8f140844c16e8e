-- Events that an analysis found on parcels (mowing, ploughing, …): when each began, was at its height and ended, and its values.
create view markers as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, foi_id, marker, marker_type,
    date_start, date_main, date_end, duration_days, value_1, value_2, value_3, practice
from marked
