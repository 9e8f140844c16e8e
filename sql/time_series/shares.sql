-- At each moment (seconds since 1970, UTC) the largest share of parcel $pid of $aoi, $year and $ptype that a scene of $card saw, and whether
-- that is enough; null and true in rows of version 0.1.
select epoch(obstime) as date_part, max(share) as share, bool_or(is_seen(share)) as seen
from (
    select obstime, share from s2
    where $card = 's2' and aoi = $aoi and year = $year and ptype = $ptype and pid = $pid
    union all
    select obstime, share from bs
    where $card = 'bs' and aoi = $aoi and year = $year and ptype = $ptype and pid = $pid
    union all
    select obstime, share from c6
    where $card = 'c6' and aoi = $aoi and year = $year and ptype = $ptype and pid = $pid
)
group by date_part
order by date_part
