-- What Sentinel-2 saw clearly of the parcels from $least to $greatest (pids, both included) of $aoi, $year and $ptype, in each step of $step
-- days from day $first to day $last (days since 1970-01-01, UTC): the parcel's place in the order of all pids of the set (from 0), the number
-- of the step (from 0), and the mean of each band as reflectance. Several looks of one step weigh as much as the share of the parcel that
-- each saw clear. Looks by the rules of markers.optical: usable with $pixels pixels, the share $share of the parcel, and the share $cloud of the
-- classified pixels in the scene classes $screen (null: the lake's rules), and B04 no brighter than $brightest DN. Sums are of whole numbers
-- (hundredths of DN, thousandths of the parcel), so that they are the same in whatever order rows are read.
select
    place::integer as place, number::integer as number,
    <<band: (sum({band} * weight) / sum(weight) filter ({band} is not null) / 1_000_000)::float as {band}_mean>>
from (
    select
        pid, (epoch_us(obstime) // 86_400_000_000 - $first) // $step as number,
        greatest(round(coalesce(if(clear_part, clear_share, share), 1) * 1_000), 1)::bigint as weight,
        <<band: round({band}_mean::double * 100)::bigint as {band}>>
    from observed_s2($screen::integer[], most := $cloud, fewest := $pixels, least_seen := $share)
    where aoi = $aoi and year = $year and ptype = $ptype and pid between $least and $greatest
        and is_usable(observable, unknown, clouded) and B04_mean <= $brightest
        and obstime >= to_timestamp($first::bigint * 86_400) and obstime < to_timestamp(($last::bigint + 1) * 86_400)
)
join (
    select pid, row_number() over (order by pid) - 1 as place
    from parcels where aoi = $aoi and year = $year and ptype = $ptype
) using (pid)
group by place, number
