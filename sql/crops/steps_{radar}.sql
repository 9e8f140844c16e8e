-- {title} of the parcels from $least to $greatest (pids, both included) of $aoi, $year and $ptype, in each step of $step days from day
-- $first to day $last (days since 1970-01-01, UTC): the parcel's place in the order of all pids of the set (from 0), the number of the step
-- (from 0), and the mean of each band, in decibels where $decibels. Each orbit looks from another side: its mean over these days is made
-- that of all, for every parcel; what was seen later has no part in it. Only where there are at least $pixels pixels (null: least_pixels())
-- and at least the share $share of the parcel was seen (null: least_share()); several looks of one step weigh by that share. Sums are of
-- whole numbers (millionths, thousandths of the parcel), so that they are the same in whatever order rows are read.
with seen as materialized (
    select
        place, (epoch_us(obstime) // 86_400_000_000 - $first) // $step as number, coalesce(relative_orbit, -1) as orbit,
        greatest(round(coalesce(share, 1) * 1_000), 1)::bigint as weight,
        <<band: round(if($decibels, 10 * log10(if({band}_mean > 0, {band}_mean, null)), {band}_mean) * 1_000_000)::bigint as {band}>>
    from (
        select pid, scene, obstime, share, {pixels} as pixels, <<band: {band}_mean::double as {band}_mean>>
        from {card}
        where aoi = $aoi and year = $year and ptype = $ptype and pid between $least and $greatest
            and obstime >= to_timestamp($first::bigint * 86_400) and obstime < to_timestamp(($last::bigint + 1) * 86_400)
    )
    join (
        select pid, row_number() over (order by pid) - 1 as place
        from parcels where aoi = $aoi and year = $year and ptype = $ptype
    ) using (pid)
    left join (select id as scene, relative_orbit from scenes where card = '{card}') using (scene)
    where is_observed(pixels, share, $pixels, $share)
),
levels as (
    select place, orbit, <<band: whole_{band} - usual_{band} as level_{band}>>
    from (select place, orbit, <<band: avg({band}) as usual_{band}>> from seen group by place, orbit)
    join (select place, <<band: avg({band}) as whole_{band}>> from seen group by place) using (place)
)
select
    place::integer as place, number::integer as number,
    <<band: (sum(round({band} + level_{band})::bigint * weight) / sum(weight) filter ({band} is not null) / 1_000_000)::float as {band}_mean>>
from seen join levels using (place, orbit)
group by place, number
