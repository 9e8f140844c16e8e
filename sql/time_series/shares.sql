-- At each moment (seconds since 1970, UTC) the largest share of parcel $pid of $aoi, $year and $ptype that a scene of each card saw, and
-- whether that is enough; null and true in rows of version 0.1. why_not: why the numbers of that moment are worth little, see
-- not_observed(): small or cut, null where they are observable.
select
    card, epoch(obstime) as date_part, max(share) as share, bool_or(is_seen(share)) as seen,
    if(bool_or(observable), null, min(why_not)) as why_not
from (
    <<card union all: select '{card}' as card, obstime, share, observable, not_observed({pixels}, share) as why_not from {card} where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid>>
)
group by card, date_part
order by card, date_part
