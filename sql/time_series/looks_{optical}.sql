-- The {card} statistics of parcel $pid of $aoi, $year and $ptype, one row per scene, by time, as observed_{card}() has them when the scene classes
-- $screen are screened: of its clear pixels alone where these stand for a parcel that is partly clouded (clear_part; clear_share is the
-- share of it that is clear). why_not: why a look is not usable, see why_not().
select
    why_not(pixels, share, observable, unknown, clouded) as why_not, is_usable(observable, unknown, clouded) as usable,
    * exclude (observable, unknown, clouded)
from observed_{card}($screen::integer[])
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
order by obstime, scene
