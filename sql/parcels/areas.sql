-- Coordinate system and extent in degrees of each area; $aoi limits to one, null means all. The extent is that of the
-- parcels' boxes, a little wider than the parcels.
select
    aoi, any_value(epsg) as epsg, count(*) as parcels,
    min(centroid_lon - across) as west, min(centroid_lat - reach) as south,
    max(centroid_lon + across) as east, max(centroid_lat + reach) as north
from (
    select *, reach / cos(radians(least(abs(centroid_lat) + reach, 89.9))) as across
    from (select *, reach_of(bbox) as reach from parcels)
)
where $aoi::varchar is null or aoi = $aoi
group by aoi
order by aoi
