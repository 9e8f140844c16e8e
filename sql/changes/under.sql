-- The parcels of $aoi, $year and $ptype whose centre lies in the box of one of the scenes $scenes of $card; of a scene that is not
-- catalogued, all.
select parcels.pid, asked.scene
from parcels
cross join (select unnest($scenes::varchar[]) as scene) as asked
left join current_scenes as known on known.card = $card and known.id = asked.scene
where parcels.aoi = $aoi and parcels.year = $year and parcels.ptype = $ptype and (
    known.id is null or (
        parcels.centroid_lon between known.bbox.xmin and known.bbox.xmax
        and parcels.centroid_lat between known.bbox.ymin and known.bbox.ymax
    )
)
order by parcels.pid, asked.scene
