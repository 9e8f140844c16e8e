-- The changes of $aoi, $year and $ptype in the order in which they were recorded: of nights that were recorded on $day or later (UTC), or
-- were judged as of $judged or later; or of the run $run and all later ones, of whichever set; or with $last of the last night of each
-- set: none of a set that a later run judged without finding a change. Only of $kind, $scenario and $pids; without $details only those
-- whose state before and after differs in words. null takes all.
with nights as (
    select
        aoi::varchar as aoi, year::integer as year, ptype, max(sequence) as last, arg_max_null(run, sequence) as run,
        arg_max_null(try_cast(json_extract_string(rests_on, '$.runs') as bigint), sequence) as runs
    from changed where kind = 'night'
    group by all
), judged as (
    select aoi, year, coalesce(ptype, '') as ptype, arg_max(run, (sequence, number)) as run, max(sequence) as sequence
    from runs
    where step = 'lights' and status in ('done', 'unchanged')
    group by all
), latest as (
    select nights.aoi, nights.year, nights.ptype, nights.last
    from nights
    left join judged using (aoi, year, ptype)
    where judged.run is null or judged.run = nights.run or nights.runs is null or nights.runs >= judged.sequence
), begun as (
    select min(sequence) as first
    from changed where kind = 'night' and run = $run
)
select changes.*
from changes
left join latest using (aoi, year, ptype)
where ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year) and ($ptype::varchar is null or ptype = $ptype)
    and ($day::date is null or (recorded at time zone 'UTC')::date >= $day) and ($judged::date is null or day >= $judged)
    and (not $last::boolean or sequence = latest.last)
    and ($run::varchar is null or sequence >= (select first from begun))
    and ($kind::varchar is null or kind = $kind) and ($scenario::varchar is null or scenario = $scenario)
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid)) and ($details::boolean or before is distinct from after)
order by sequence, aoi, year, ptype, kind, pid, scenario, marker, number, card, scene
