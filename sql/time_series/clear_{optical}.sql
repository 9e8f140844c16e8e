-- The {card} statistics of parcel $pid of $aoi, $year and $ptype as long rows, by time and band, as observed_{card}() has them when the scene
-- classes $screen are screened: of its clear pixels alone where these stand for the parcel (clear_part). usable: see is_usable(); $bands
-- limits the bands, null means all.
select * exclude (pid, aoi, year, ptype)
from (
    select
        aoi, year, ptype, pid, epoch(obstime) as date_part, scene as obsid, reference, {classes}, clear_part,
        is_usable(observable, unknown, clouded) as usable,
        unnest([<<band: {'band': '{band}', <<statistic: '{statistic}': {band}_{statistic}>>}>>].list_filter(lambda item: item.count is not null), recursive := true)
    from observed_{card}($screen::integer[])
)
where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype
    and ($bands::varchar[] is null or list_contains($bands::varchar[], band))
order by date_part, band, obsid
