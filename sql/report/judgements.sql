-- All that was decided of the lights of parcel $pid of $aoi, $year and $ptype, withdrawals included, in order; stands: whether it counts.
select
    judged.scenario, judged.number, judged.decision, judged.replaces, judged.withdraws, judged.note, judged.who, judged.decided, judged.as_of,
    judged.day, judged.colour, judged.reason, judged.due, judged.lights, judged.parameters, judged.shown, judged.parcels, judged.version,
    judgements.number is not null as stands, judgements.outdated
from judged
left join judgements on judgements.aoi = judged.aoi and judgements.year = judged.year and judgements.ptype = judged.ptype
    and judgements.pid = judged.pid and judgements.scenario = judged.scenario and judgements.number = judged.number
where judged.pid = $pid and judged.aoi = $aoi and judged.year = $year and judged.ptype = $ptype
order by judged.scenario, judged.number, judged.sequence
