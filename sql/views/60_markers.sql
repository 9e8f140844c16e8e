-- Events that an analysis found on parcels (mowing, ploughing, …): when each began, was at its height and ended, its values, how sure
-- it is (0 to 1) and whether the parcel was seen well enough; the last two only where this library found them.
create view markers as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, foi_id, marker, marker_type,
    date_start, date_main, date_end, duration_days, value_1, value_2, value_3, practice, confidence, observable
from marked
