-- The cases of $aoi, $year and $ptype as they stand, with their status among $statuses, of the scenarios $scenarios and the parcels $pids;
-- null of each is all.
select * from cases
where ($aoi::varchar is null or aoi = $aoi) and ($year::integer is null or year = $year) and ($ptype::varchar is null or ptype = $ptype)
    and ($statuses::varchar[] is null or list_contains($statuses::varchar[], status))
    and ($scenarios::varchar[] is null or list_contains($scenarios::varchar[], scenario))
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
order by aoi, year, ptype, pid, scenario, opened, case_id
