-- Sentinel-1 coherence of every parcel of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01, UTC), in the order
-- of parcel and day: the parcel's place in the order of pids (from 0) and the mean of VV and VH. Each orbit looks from another side: its
-- mean over the season is made that of all, for every parcel. Only where there are at least $pixels pixels (null:
-- least_pixels()) and at least the share $share of the parcel was seen (null: least_share()); several scenes of one day weigh by that share. $pids limits the parcels, null takes all.
with seen as (
    select
        place, epoch_us(obstime) // 86_400_000_000 as day, coalesce(relative_orbit, -1) as orbit,
        (coalesce(VV_mean, VH_mean) + coalesce(VH_mean, VV_mean)) / 2 as coherence, coalesce(share, 1)::double as weight
    from c6
    join (
        select pid, row_number() over (order by pid) - 1 as place
        from parcels where aoi = $aoi and year = $year and ptype = $ptype
            and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
    ) using (pid)
    left join (select id as scene, relative_orbit from scenes where card = 'c6') using (scene)
    where aoi = $aoi and year = $year and ptype = $ptype
        and is_observed(c6_pixels(VV_count, VH_count), share, $pixels, $share)
)
select
    place::integer as place, day::integer as day,
    (sum((coherence + whole - usual) * weight) / sum(weight))::float as coherence
from seen
join (select place, orbit, avg(coherence) as usual from seen group by all) using (place, orbit)
join (select place, avg(coherence) as whole from seen group by all) using (place)
where day between $first and $last and coherence is not null
group by place, day
order by place, day
