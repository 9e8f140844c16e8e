-- Sentinel-1 coherence of every parcel of $aoi, $year and $ptype up to day $last (days since 1970-01-01, UTC), in the order of parcel and
-- day: the parcel's place in the order of pids (from 0), the orbit (-1: unknown), the mean of VV and VH, and the image's weight, the share
-- of the parcel that it saw. Only where there are at least $pixels pixels (null: least_pixels()) and at least the share $share of the parcel
-- was seen (null: least_share()). $pids limits the parcels, null takes all.
select
    place::integer as place, (epoch_us(obstime) // 86_400_000_000)::integer as day, coalesce(relative_orbit, -1)::bigint as orbit,
    (coalesce(VV_mean, VH_mean) + coalesce(VH_mean, VV_mean)) / 2 as value, coalesce(share, 1)::double as weight
from c6
join (
    select pid, row_number() over (order by pid) - 1 as place
    from parcels where aoi = $aoi and year = $year and ptype = $ptype
        and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
) using (pid)
left join (select id as scene, relative_orbit from scenes where card = 'c6') using (scene)
where aoi = $aoi and year = $year and ptype = $ptype
    and is_observed(c6_pixels(VV_count, VH_count), share, $pixels, $share)
    and epoch_us(obstime) // 86_400_000_000 <= $last and coalesce(VV_mean, VH_mean) is not null
order by place, day, orbit
