-- The parcels of other years that parcel $pid of $aoi, $year and $ptype was or became, by the view lineage: over as many years as it relates,
-- back and forth. Overlaps of less than the share $least of either parcel are not followed. version: of the parcel set that was related; moved:
-- whether an outline on the way was displaced.
with recursive edges as (
    select year, pid, year_before, pid_before, version, version_before, relation = 'moved' as moved
    from lineage
    where aoi = $aoi and ptype = $ptype and ptype_before = $ptype and year_before < year and pid is not null and pid_before is not null
        and (greatest(share, share_before) >= $least or relation = 'moved')
),
earlier as (
    select $year::integer as year, $pid::varchar as pid, null::varchar as version, false as moved
    union
    select edges.year_before, edges.pid_before, edges.version_before, earlier.moved or edges.moved
    from earlier
    join edges on edges.year = earlier.year and edges.pid = earlier.pid
),
later as (
    select $year::integer as year, $pid::varchar as pid, null::varchar as version, false as moved
    union
    select edges.year, edges.pid, edges.version, later.moved or edges.moved
    from later
    join edges on edges.year_before = later.year and edges.pid_before = later.pid
)
select year, pid, any_value(version) as version, bool_or(moved) as moved
from (from earlier union from later)
where year <> $year::integer
group by all
order by all
