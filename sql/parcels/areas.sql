-- Coordinate system and extent in degrees of each area; $aoi limits to one, null means all. The extent is that of the
-- parcels' boxes, a little wider than the parcels.
select
    aoi, any_value(epsg) as epsg, count(*) as parcels,
    min(centroid_lon - reach) as west, min(centroid_lat - reach) as south,
    max(centroid_lon + reach) as east, max(centroid_lat + reach) as north
from (
    -- half a parcel's box in degrees: metres shrink by the cosine of the latitude; boxes in degrees are taken as they are
    select *, greatest(bbox.xmax - bbox.xmin, bbox.ymax - bbox.ymin)
        * case when epsg = 4326 then 1 else 1 / (111000 * cos(radians(least(abs(centroid_lat), 80)))) end as reach
    from parcels
)
where $aoi::varchar is null or aoi = $aoi
group by aoi
order by aoi
