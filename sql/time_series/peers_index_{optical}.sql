-- How the index $index (ndvi, ndwi, …) of the parcels of $crop (name, or code where there is none) of $aoi, $year and $ptype, or where $group
-- is given of those that the last crop check has in this group of crops and does not accuse, lies in each step of $step days from 1 January
-- on: median, low and high (the quantiles $low and $high, linear between values) over parcels, each with the mean of its usable looks when
-- the scene classes $screen are screened. Of all but parcel $without the $most that are nearest to $lon, $lat (degrees). parcels: how many
-- have a usable look in the step; at: the mean time of these; peers: how many were asked, of how many others. A row without a step where no
-- parcel has any, and none where there are no others.
with peers as materialized (
    select * from peers_of($aoi, $year::integer, $ptype, $crop, $without, $lon::double, $lat::double, $most::bigint)
    where $group::varchar is null
    union all
    select * from peers_in_group($aoi, $year::integer, $ptype, $group::varchar, $without, $lon::double, $lat::double, $most::bigint)
),
-- of this name, so that observations_{card}() works out these rows alone; the condition on pid below is what counts
{card}_rows as materialized (
    select * from {card}_rows where aoi = $aoi and year = $year::integer and ptype = $ptype and pid in (select pid from peers)
),
means as (
    select
        pid, floor(date_diff('day', make_date($year::integer, 1, 1), obstime::date) / $step::integer)::integer as step,
        avg(value)::double as value, avg(epoch(obstime)) as seconds
    from observations_{card}($screen::integer[], name := $index)
    where aoi = $aoi and year = $year::integer and ptype = $ptype and pid in (select pid from peers) and usable and value is not null
    group by all
),
steps as (
    select
        step, median(value) as median, quantile_cont(value, coalesce($low::double, 0.1)) as low, quantile_cont(value, coalesce($high::double, 0.9)) as high,
        count(*) as parcels, make_timestamp((1e6 * avg(seconds))::bigint) as at
    from means
    group by all
)
select $index::varchar as band, steps.*, counted.*
from (select count(*) as peers, coalesce(any_value(others), 0) as others from peers) as counted
left join steps on true
where others > 0
order by step
