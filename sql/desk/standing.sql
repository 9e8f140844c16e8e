-- Which of the judgements in `judged` stands on each row of `listed`: one on the scenario of the row, or on the parcel as a whole; of both
-- the later one. outdated: what is another one since then, the declaration (see judgements), or the colour of the light that was judged:
-- that of the row, or of the parcel as a whole its worst one, as `whole` says.
select
    listed.number, decision, who, decided, note,
    coalesce(
        judged.outdated,
        case when judged.colour is distinct from (case when judged.scenario = '' then whole.colour else listed.colour end) then 'light' end
    ) as outdated
from (select pid, scenario, colour, row_number() over () - 1 as number from listed) as listed
join judged on judged.pid = listed.pid and judged.scenario in ('', coalesce(listed.scenario, ''))
left join whole on whole.pid = listed.pid
qualify row_number() over (partition by listed.number order by decided desc, judged.scenario desc) = 1
order by listed.number
