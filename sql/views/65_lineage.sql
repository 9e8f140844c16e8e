-- What the parcels of an earlier year became: a row per pair of parcels that overlap with the shares of their areas, and per parcel
-- that is new or gone. Slivers are pairs too, so that no share is lost. See cbm_lake.parcels.lineage.
create view lineage as
select
    aoi::varchar as aoi, year::integer as year, ptype, year_before, ptype_before, pid, pid_before, relation,
    area_m2, area_before_m2, shared_m2, share, share_before, least_share, version, version_before
from related_parcels
