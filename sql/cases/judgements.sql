-- The judgements that stand on parcels of $aoi, $year and $ptype, with one of the decisions $decisions, on the scenarios $scenarios (empty
-- text: on the declaration as a whole) and the parcels $pids, by the people $people; null of each is all.
select * from judgements
where ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year) and ($ptype::varchar is null or ptype = $ptype)
    and ($decisions::varchar[] is null or list_contains($decisions::varchar[], decision))
    and ($scenarios::varchar[] is null or list_contains($scenarios::varchar[], scenario))
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
    and ($people::varchar[] is null or list_contains($people::varchar[], who))
order by aoi, year, ptype, pid, scenario
