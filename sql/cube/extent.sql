-- The box round the parcels of $aoi and $year (null: any), in each coordinate system that they are in.
select
    epsg, min(bbox.xmin) as west, min(bbox.ymin) as south, max(bbox.xmax) as east, max(bbox.ymax) as north
from parcels
where aoi = $aoi and ($year::integer is null or year = $year)
group by epsg
order by epsg
