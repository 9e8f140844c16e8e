-- The parcels in force: one row per parcel. area_m2 is measured in EPSG:3035; geometry is WKB in the area's own
-- coordinate system (epsg), like bbox. fid is the number that the original's tables know a parcel by, where it was
-- migrated. hcat is the crop in HCAT, the taxonomy of EuroCrops, null where it is unknown or was not looked up. An
-- agency's other columns stay in its file: two agencies rarely agree on them.
create view parcels as
select
    aoi::varchar as aoi, year::integer as year, ptype, id as pid,
    "crop:name" as crop_name, "crop:code" as crop_code, area * 10000 as area_m2,
    epsg, centroid_lon, centroid_lat, bbox, geometry, version, try_cast(ogc_fid as bigint) as fid,
    "hcat:code"::varchar as hcat, "hcat:name"::varchar as hcat_name
from fiboa_parcels
