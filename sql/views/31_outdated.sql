-- Parcels whose outline in an older version of their set is not the one in force, or that are declared no more: signatures
-- taken in that version do not count for them. Only versions that have signatures are looked at, which is mostly none.
create table outdated as
select hash(older.aoi, older.year, older.ptype, older.parcels) as outlines, was.id as pid
from (select distinct aoi, year, ptype, parcels from counting) as older
join former_parcels as was
    on was.aoi::varchar = older.aoi and was.year = older.year and was.ptype = older.ptype and was.version = older.parcels
left join fiboa_parcels as now
    on now.aoi::varchar = older.aoi and now.year = older.year and now.ptype = older.ptype and now.id = was.id
where now.geometry is distinct from was.geometry
