-- The lineages in the lake that no longer fit, as one of their parcel sets was loaded with other outlines since: of each area, years and
-- ptypes the versions that were compared, and those in force (null: there is none).
with computed as (
    select distinct aoi, year, ptype, year_before, ptype_before, version, version_before from lineage
), in_force as (
    select distinct aoi, year, ptype, version from parcels
)
select computed.*, now.version as version_in_force, was.version as version_before_in_force
from computed
left join in_force as now on now.aoi = computed.aoi and now.year = computed.year and now.ptype = computed.ptype
left join in_force as was
    on was.aoi = computed.aoi and was.year = computed.year_before and was.ptype = computed.ptype_before
where split_part(coalesce(now.version, ''), '_', 1) <> split_part(computed.version, '_', 1)
    or split_part(coalesce(was.version, ''), '_', 1) <> split_part(computed.version_before, '_', 1)
order by all
