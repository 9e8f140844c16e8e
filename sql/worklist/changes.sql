-- What has changed on the parcels of $aoi, $year and $ptype since the timestamp $since: a row per parcel and scenario whose light has
-- another colour than then, and one per parcel with the names of the markers of which something is other (scenario is null).
with recent as (
    select * from changes
    where aoi = $aoi and year = $year and ptype = $ptype and recorded > $since::timestamptz
)
select pid, scenario, coalesce(arg_min_null(before, sequence), 'none') || ' → ' || coalesce(arg_max_null(after, sequence), 'none') as change
from recent
where kind = 'light'
group by pid, scenario
having arg_min_null(before, sequence) is distinct from arg_max_null(after, sequence)
union all
select pid, null, string_agg(distinct marker, ', ' order by marker)
from recent
where kind = 'marker'
group by pid
order by pid, scenario nulls last
