-- The days on which scenes of $card were extracted over the parcels of $aoi, $year and $ptype, and how many.
select obstime::date as day, count(*) as scenes
from scenes
join done on done.card = scenes.card and done.scene = scenes.id
where scenes.card = $card and done.aoi = $aoi and done.year = $year and done.ptype = $ptype and left_out is null
group by day
order by day
