-- reach_of(bbox): as far as the outline in a box can reach from its centroid, in degrees of latitude: a degree is taken as 100 km, which is
-- less than it is; systems in degrees are told by their coordinates: their codes begin with 4 as that of Germany's zone 32 (4647).
create macro reach_of(bbox) as (bbox.xmax - bbox.xmin + bbox.ymax - bbox.ymin)
    * if(greatest(abs(bbox.xmin), abs(bbox.xmax)) <= 360 and greatest(abs(bbox.ymin), abs(bbox.ymax)) <= 90, 1.2, 1 / 100000)
