-- The {card} statistics of parcel $pid of $aoi, $year and $ptype as long rows, by time and band; $bands limits the bands, null means all.
select epoch(obstime) as date_part, band, count, mean, std, min, p25, p50, p75, max, reference, obsid
from {card}_long
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
    and ($bands::varchar[] is null or list_contains($bands::varchar[], band))
order by date_part, band, obsid
