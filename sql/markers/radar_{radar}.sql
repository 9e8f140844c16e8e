-- {title}, band $band, of every parcel of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01, UTC), in the order of
-- parcel and day: the parcel's place in the order of pids (from 0), the day, and the mean of the parcel, in decibels where $decibels. Each
-- orbit looks from another side: its mean over the season is made that of all, for every parcel. Only where there are at least $pixels
-- pixels (null: least_pixels()) and at least the share $share of the parcel was seen (null: least_share()); several scenes of one day weigh
-- by that share. $pids limits the parcels, null takes all.
with seen as (
    select
        place, epoch_us(obstime) // 86_400_000_000 as day, coalesce(relative_orbit, -1) as orbit,
        if($decibels, 10 * log10(if(mean > 0, mean, null)), mean) as value, coalesce(share, 1)::double as weight
    from (
        select
            aoi, year, ptype, pid, scene, obstime, share, {pixels} as pixels,
            columns(lambda column: column = $band || '_mean') as mean
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
select
    place::integer as place, day::integer as day, (sum((value + whole - usual) * weight) / sum(weight))::float as value
from seen
join (select place, orbit, avg(value) as usual from seen group by all) using (place, orbit)
join (select place, avg(value) as whole from seen group by all) using (place)
where day between $first and $last and value is not null
group by place, day
order by place, day
