-- The changes of $aoi, $year and $ptype in the order in which they were recorded: of nights from $day on, or of the run $run and all
-- later ones, of whichever set, or with $last of the last night of each set; only of $kind, $scenario and $pids; without $details only those whose state
-- before and after differs in words. null takes all.
with nights as (
    select aoi::varchar as aoi, year::integer as year, ptype, max(sequence) as last
    from changed where kind = 'night'
    group by all
), begun as (
    select min(sequence) as first
    from changed where kind = 'night' and run = $run
)
select changes.*
from changes
left join nights using (aoi, year, ptype)
where ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year) and ($ptype::varchar is null or ptype = $ptype)
    and ($day::date is null or day >= $day) and (not $last::boolean or sequence = nights.last)
    and ($run::varchar is null or sequence >= (select first from begun))
    and ($kind::varchar is null or kind = $kind) and ($scenario::varchar is null or scenario = $scenario)
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid)) and ($details::boolean or before is distinct from after)
order by sequence, aoi, year, ptype, kind, pid, scenario, marker, number, card, scene
