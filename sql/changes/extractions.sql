-- How each of the scenes $scenes of $card was extracted over $aoi, $year and $ptype, each time that it was.
select
    scene, extraction, arg_max(attempt, attempt) as attempt, arg_max_null(base, attempt) as base, arg_max_null(revision, attempt) as revision,
    coalesce(arg_max_null(mask, attempt), '') as mask, arg_max(rule, attempt) as rule, arg_max_null(boa_offset, attempt) as boa_offset,
    coalesce(list_sort(arg_max_null(indices, attempt)), []) as indices
from ledger
where card = $card and aoi::varchar = $aoi and year = $year and ptype = $ptype and status = 'done' and scene in (select unnest($scenes::varchar[]))
group by scene, extraction
order by scene, attempt
