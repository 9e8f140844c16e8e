-- The lineage of the parcels of $aoi, $year and $ptype from $year_before and $ptype_before with outlines, for maps: a row per pair, without
-- slivers, with the polygon (WKB) of the later parcel, or of the earlier one where that is gone. Rows of parcel sets that were loaded
-- again since have the polygons of now, or none.
select of.* exclude (version, version_before), coalesce(later.epsg, earlier.epsg) as epsg, coalesce(later.geometry, earlier.geometry) as geometry
from lineage as of
left join parcels as later on later.aoi = of.aoi and later.year = of.year and later.ptype = of.ptype and later.pid = of.pid
left join parcels as earlier
    on of.pid is null and earlier.aoi = of.aoi and earlier.year = of.year_before and earlier.ptype = of.ptype_before
    and earlier.pid = of.pid_before
where of.aoi = $aoi and of.year = $year and of.ptype = $ptype and of.year_before = $year_before and of.ptype_before = $ptype_before
    and of.relation <> 'sliver'
order by of.pid nulls last, of.pid_before nulls last
