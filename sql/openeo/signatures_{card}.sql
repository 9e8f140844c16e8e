-- Signatures of card {card} of $aoi, $year and $ptype from $start up to, not including, $stop, one wide row per parcel and scene as the
-- view {card} has them.
select *
from {card}
where aoi = $aoi and year = $year and ptype = $ptype and obstime >= $start::timestamptz and obstime < $stop::timestamptz
