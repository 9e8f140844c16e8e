-- The parcels in force: one row per parcel. area_m2 is measured in EPSG:3035; geometry is WKB in the area's own
-- coordinate system (epsg), like bbox.
create view parcels as
select
    aoi::varchar as aoi, year::integer as year, ptype, id as pid,
    "crop:name" as crop_name, "crop:code" as crop_code, area * 10000 as area_m2,
    epsg, centroid_lon, centroid_lat, bbox, geometry,
    * exclude (aoi, year, ptype, id, "crop:name", "crop:code", area, epsg, centroid_lon, centroid_lat, bbox, geometry)
from fiboa_parcels
