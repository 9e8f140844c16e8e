-- The photos that were handed in with answers, of all cases: case_id, pid, number of the answer, and what each photo says.
select case_id, aoi::varchar as aoi, year::integer as year, ptype, pid, number, unnest(photos, recursive := true)
from decisions
where photos is not null
order by case_id, number
