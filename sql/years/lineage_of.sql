-- Whether the lineage of the parcels $aoi, $year and $ptype from $year_before is there for the geometries $version and $version_before (the first parts of
-- the versions): one row, or none.
select any_value(relation) as relation
from lineage
where aoi = $aoi and year = $year and ptype = $ptype and ptype_before = $ptype and year_before = $year_before
    and string_split(version, '_')[1] = $version and string_split(version_before, '_')[1] = $version_before
having count(*) > 0
