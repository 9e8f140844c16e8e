-- At each moment (seconds since 1970, UTC) the largest share of parcel $pid of $aoi, $year and $ptype that a scene of each card saw, and
-- whether that is enough; null and true in rows of version 0.1.
select card, epoch(obstime) as date_part, max(share) as share, bool_or(is_seen(share)) as seen
from (
    <<card union all: select '{card}' as card, obstime, share from {card} where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid>>
)
group by card, date_part
order by card, date_part
