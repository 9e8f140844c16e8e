-- The sky over parcel $pid of $aoi, $year and $ptype in each {card} scene that was extracted over it, by time, when the scene classes $screen are
-- screened: cloud is the clouded share of the classified pixels, null where none is classified, clear_share the share of the parcel that
-- is clear; why_not: why a look is not usable, see why_not().
select
    scene, obstime, if(clear_part, 1 - clear_share / nullif(share, 0), cloud) as cloud, clear_share,
    why_not(pixels, share, observable, unknown, clouded) as why_not
from observed_{card}($screen::integer[])
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
