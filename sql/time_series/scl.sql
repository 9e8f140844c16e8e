-- The pixels of parcel $pid of $aoi, $year and $ptype by scene class in each scene, scl[1] being class 0; obsid is the scene's number.
select scenes.obsid, s2.scl
from s2
join scenes on scenes.card = 's2' and scenes.id = s2.scene
where s2.pid = $pid and s2.aoi = $aoi and s2.year = $year and s2.ptype = $ptype and list_sum(s2.scl) > 0
order by scenes.obsid
