-- What the parcels of an earlier year became: a row per pair of parcels that overlap with the shares of their areas, and per parcel
-- that is new or gone. See cbm_lake.parcels.lineage.
create view lineage as
select
    aoi::varchar as aoi, year::integer as year, year_before, ptype, pid, pid_before, relation,
    area_m2, area_before_m2, shared_m2, share, share_before, version, version_before
from related_parcels
