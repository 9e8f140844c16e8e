-- Where the parcels of the files $paths are: boxes in degrees, each of the parcels whose centroids are in the same quarter of a degree.
-- As in parcels.areas they reach as far as an outline can from its centroid, so no parcel is outside.
select
    min(centroid_lon - across) as west, min(centroid_lat - reach) as south,
    max(centroid_lon + across) as east, max(centroid_lat + reach) as north
from (
    select *, reach / cos(radians(least(abs(centroid_lat) + reach, 89.9))) as across
    from (select *, reach_of(bbox) as reach from read_parquet($paths, union_by_name = true))
)
group by floor(centroid_lon * 4), floor(centroid_lat * 4)
