-- The scenes of $card that were extracted over the parcels of $aoi, $year and $ptype and that count, by time, with their rasters and
-- what is needed to read them.
select scenes.id as scene, scenes.obstime, scenes.boa_offset, scenes.revision, scenes.assets
from scenes
join done on done.card = scenes.card and done.scene = scenes.id
where scenes.card = $card and done.aoi = $aoi and done.year = $year and done.ptype = $ptype
    and not superseded and suspect is null and left_out is null
order by scenes.obstime, scenes.id
