-- {title}, band $band, of every parcel of $aoi, $year and $ptype up to day $last (days since 1970-01-01, UTC), in the order of parcel, day
-- and orbit: the parcel's place in the order of pids (from 0), the orbit (-1: unknown), the mean of the parcel, in decibels where $decibels,
-- and the image's weight, the share of the parcel that it saw. Only where there are at least $pixels pixels (null: least_pixels()) and at
-- least the share $share of the parcel was seen (null: least_share()). $pids limits the parcels, null takes all.
select place::integer as place, day::integer as day, orbit, value, weight
from (
    select
        place, epoch_us(obstime) // 86_400_000_000 as day, coalesce(relative_orbit, -1)::bigint as orbit,
        if($decibels, 10 * log10(if(mean > 0, mean, null)), mean)::double as value, coalesce(share, 1)::double as weight
    from (
        select
            aoi, year, ptype, pid, scene, obstime, share, {pixels} as pixels,
            coalesce(<<band: if($band = '{band}', {band}_mean, null)>>) as mean
        from {card}
        where aoi = $aoi and year = $year and ptype = $ptype
    )
    join (
        select pid, row_number() over (order by pid) - 1 as place
        from parcels where aoi = $aoi and year = $year and ptype = $ptype
            and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
    ) using (pid)
    left join (select id as scene, relative_orbit from scenes where card = '{card}') using (scene)
    where is_observed(pixels, share, $pixels, $share)
)
where day <= $last and value is not null
order by place, day, orbit
