-- All that was ever decided of the lights of parcels of $aoi, $year and $ptype, withdrawals included, with one of the decisions $decisions,
-- on the scenarios $scenarios and the parcels $pids, by the people $people; null of each is all. stands: whether it is what counts now.
select
    judged.* exclude (sequence) replace (judged.aoi::varchar as aoi, judged.year::integer as year), judgements.number is not null as stands
from judged
left join judgements on judgements.aoi = judged.aoi and judgements.year = judged.year and judgements.ptype = judged.ptype
    and judgements.pid = judged.pid and judgements.scenario = judged.scenario and judgements.number = judged.number
where ($aoi::varchar is null or judged.aoi = $aoi) and ($year::integer is null or judged.year = $year)
    and ($ptype::varchar is null or judged.ptype = $ptype)
    and ($decisions::varchar[] is null or list_contains($decisions::varchar[], judged.decision))
    and ($scenarios::varchar[] is null or list_contains($scenarios::varchar[], judged.scenario))
    and ($pids::varchar[] is null or list_contains($pids::varchar[], judged.pid))
    and ($people::varchar[] is null or list_contains($people::varchar[], judged.who))
order by judged.aoi, judged.year, judged.ptype, judged.pid, judged.scenario, judged.number, judged.sequence
