-- Parts of parcels on which something happened (mowing, ploughing, harvest) while it did not on the rest: a row per part with its
-- polygon, area and state, or, where a parcel has none, a row with the reason. See cbm_lake.markers.parts.
create view parts as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, marker, date_start, date_main, date_end, number as part, state,
    pixels, area_m2, area_std_m2, share, change, confidence, geometry, epsg, looks, reason
from divided
