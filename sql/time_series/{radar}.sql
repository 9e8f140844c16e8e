-- The {card} statistics of parcel $pid of $aoi, $year and $ptype as long rows, by time and band; $bands limits the bands, null means all.
-- Statistics that were asked for beside the usual ones come last.
select
    epoch(obstime) as date_part, band, <<series: {statistic}>>, reference, obsid,
    * exclude (aoi, year, ptype, pid, obsid, obstime, reference, share, band, <<series: {statistic}>>)
from {card}_long
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
    and ($bands::varchar[] is null or list_contains($bands::varchar[], band))
order by date_part, band, obsid
