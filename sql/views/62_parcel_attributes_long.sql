-- What rasters say of parcels, one row per parcel and attribute: value (null where no pixel counts), label (the text of a class), pixels
-- that have data, unit, rule, raster, described (when). Of parcels whose outline has changed since, or that are declared no more, there is none.
-- Where descriptions under two names gave the same attribute, the later counts.
create view parcel_attributes_long as
select
    one.aoi::varchar as aoi, one.year::integer as year, one.ptype, one.pid, one.attribute, one.kind, one.value, one.label, one.pixels,
    one.unit, one.rule, one.raster, one.described
from attributes as one
join fiboa_parcels as now
    on now.aoi::varchar = one.aoi::varchar and now.year = one.year and now.ptype = one.ptype and now.id = one.pid
where one.version = now.version or exists (
    select 1
    from parcel_versions as was
    where was.aoi::varchar = one.aoi::varchar and was.year = one.year and was.ptype = one.ptype and was.version = one.version
        and was.id = one.pid and was.geometry = now.geometry
)
qualify row_number() over (
    partition by one.aoi::varchar, one.year::integer, one.ptype, one.pid, one.attribute
    order by one.sequence desc nulls last, one.described desc, one.part
) = 1
