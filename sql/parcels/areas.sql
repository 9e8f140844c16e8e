-- Coordinate system and extent in degrees of each area; $aoi limits to one, null means all. The extent is that of the
-- parcels' boxes, a little wider than the parcels.
select
    aoi, any_value(epsg) as epsg, count(*) as parcels,
    min(centroid_lon - across) as west, min(centroid_lat - reach) as south,
    max(centroid_lon + across) as east, max(centroid_lat + reach) as north
from (
    select *, reach / cos(radians(least(abs(centroid_lat) + reach, 89.9))) as across
    from (
        -- as far as the outline can reach from its centroid, in degrees of latitude: a degree is taken as 100 km, which is
        -- less than it is; systems in degrees are told by their coordinates: their codes begin with 4 as that of Germany's zone 32 (4647)
        select
            *, (bbox.xmax - bbox.xmin + bbox.ymax - bbox.ymin)
            * if(greatest(abs(bbox.xmin), abs(bbox.xmax)) <= 360 and greatest(abs(bbox.ymin), abs(bbox.ymax)) <= 90, 1.2, 1 / 100000) as reach
        from parcels
    )
)
where $aoi::varchar is null or aoi = $aoi
group by aoi
order by aoi
