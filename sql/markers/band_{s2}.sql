-- The mean (DN) of the band $name (B11, …) of every parcel of $aoi, $year and $ptype from day $first to day $last (days since 1970-01-01,
-- UTC), in the order of parcel and day, by the rules of markers.optical: the parcel's place in the order of pids (from 0), the day, and the
-- value. Several scenes of one day are averaged, each weighing as much as the share of the parcel that it saw clear. $pids limits the parcels,
-- null takes all. Looks that are usable with $pixels pixels, the share $share of the parcel, and the share $cloud of the classified pixels in the
-- scene classes $screen (null: the lake's rules), and B04 no brighter than $brightest DN.
select place::integer as place, day::integer as day, (sum(value * weight) / sum(weight))::float as value
from (
    select
        pid, epoch_us(obstime) // 86_400_000_000 as day, coalesce(<<band: if($name = '{band}', {band}_mean, null)>>) as value,
        coalesce(if(clear_part, clear_share, share), 1)::double as weight
    from observed_s2($screen::integer[], most := $cloud, fewest := $pixels, least_seen := $share)
    where aoi = $aoi and year = $year and ptype = $ptype and is_usable(observable, unknown, clouded)
        and B04_mean <= $brightest
)
join (
    select pid, row_number() over (order by pid) - 1 as place
    from parcels where aoi = $aoi and year = $year and ptype = $ptype
        and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
) using (pid)
where day between $first and $last and value is not null
group by all
order by all
