-- Parcels of $aoi, $year and $ptype that may meet the box $west, $south, $east, $north in degrees: all that do, and some beside it.
-- $metres is the length of a unit of their coordinate system.
select pid, crop_name, crop_code, epsg, geometry, area_m2, centroid_lon, centroid_lat
from (
    -- as far as the outline can reach from its centroid, in degrees of latitude: a degree is taken as 100 km, which is less
    -- than it is, and the parallels at the end that is farther from the equator
    select *, (bbox.xmax - bbox.xmin + bbox.ymax - bbox.ymin) * $metres / 100000 + 1e-6 as reach
    from parcels
    where aoi = $aoi and year = $year and ptype = $ptype
)
where not (abs(centroid_lon) <= 180 and abs(centroid_lat) <= 90) or centroid_lat + reach >= $south and centroid_lat - reach <= $north
    and centroid_lon + reach / cos(radians(least(abs(centroid_lat) + reach, 89.9))) >= $west
    and centroid_lon - reach / cos(radians(least(abs(centroid_lat) + reach, 89.9))) <= $east
order by pid
