-- The cases $ids, each by its identifier or the beginning of one, as they stand.
select * from cases where exists (from unnest($ids::varchar[]) as asked(id) where starts_with(case_id, id)) order by aoi, year, ptype, pid, scenario
