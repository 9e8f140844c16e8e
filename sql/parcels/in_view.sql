-- Parcels of $aoi, $year and $ptype that may meet the box $west, $south, $east, $north in degrees (see near.sql; $metres is the length of a
-- unit of their coordinate system), the outlines (WKB) where $outlines is true, and what colours them by $column: word for crop, light
-- (the worst of the scenarios, by the order $worst, or that of $scenario where it is not empty) and crop check, number for area_m2; both null for other columns.
select
    pid, epsg, if($outlines, geometry, null) as geometry, centroid_lon, centroid_lat,
    case $column when 'crop' then coalesce(crop_name, crop_code) when 'light' then colour when 'crop check' then verdict end as word,
    if($column = 'area_m2', area_m2, null) as number
from (
    select *, (bbox.xmax - bbox.xmin + bbox.ymax - bbox.ymin) * $metres / 100000 + 1e-6 as reach
    from parcels
    where aoi = $aoi and year = $year and ptype = $ptype
)
left join (
    select pid, arg_min(colour, list_position($worst, colour)) as colour
    from lights
    where aoi = $aoi and year = $year and ptype = $ptype and $column = 'light' and ($scenario = '' or scenario = $scenario)
    group by pid
) using (pid)
left join (
    select pid, verdict
    from crop_checks
    where aoi = $aoi and year = $year and ptype = $ptype and $column = 'crop check'
) using (pid)
where centroid_lat + reach >= $south and centroid_lat - reach <= $north
    and centroid_lon + reach / cos(radians(least(abs(centroid_lat) + reach, 89.9))) >= $west
    and centroid_lon - reach / cos(radians(least(abs(centroid_lat) + reach, 89.9))) <= $east
order by pid
