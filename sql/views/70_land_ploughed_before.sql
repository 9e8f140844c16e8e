-- land_ploughed_before(the_aoi, this_year, the_ptype, span, listed, least): of each parcel, what is known of ploughing on its land in the span - 1
-- years before, through its lineage: last: the last sure ploughing on more than 5 % of it, and
-- last_share the share of it that was ploughed for sure in one of the years, at least; perhaps: the last less sure one; looked: the least
-- share of the land of one year on which it was looked for and could be seen; listed_share: of the land, that of crops that are `listed` in the
-- year before, and unlisted_share that of others; see land_of_crops() and ploughed_parcels().
create macro land_ploughed_before(the_aoi, this_year, the_ptype, span, listed, least) as table
with years as (
    select
        land.pid, year_before, any_value(area_m2) as area_m2, any_value(missing) as missing,
        max(ploughed) filter (shared_m2 > 0.05 * area_m2) as last, max(events.perhaps) filter (shared_m2 > 0.05 * area_m2) as perhaps,
        coalesce(sum(shared_m2) filter (ploughed is not null), 0) / nullif(any_value(area_m2), 0) as ploughed_share,
        coalesce(sum(shared_m2) filter (observed), 0) / nullif(any_value(area_m2), 0) as looked,
        coalesce(sum(shared_m2) filter (counts), 0) / nullif(any_value(area_m2), 0) as listed_share,
        coalesce(sum(shared_m2) filter (not counts), 0) / nullif(any_value(area_m2), 0) as unlisted_share,
        list(pid_before order by shared_m2 desc, pid_before) filter (pid_before is not null) as pids_before
    from land_of_crops(the_aoi, this_year, the_ptype, span, listed, 10) as land
    left join ploughed_parcels(the_aoi, the_ptype, this_year - span + 1, this_year - 1, least) as events
        on events.of_year = land.year_before and events.pid = land.pid_before
    group by land.pid, year_before
)
select
    pid, any_value(area_m2) as area_m2, max(last) as last, least(max(ploughed_share), 1) as last_share, max(perhaps) as perhaps, min(looked) as looked,
    arg_max(listed_share, year_before) as listed_share, arg_max(unlisted_share, year_before) as unlisted_share,
    list(year_before order by year_before desc) as years,
    coalesce(flatten(list(pids_before order by year_before desc) filter (pids_before is not null)), []) as pids_before,
    string_agg(
        coalesce(missing, if(looked < 0.95, 'ploughing was not looked for, or not to be seen, in ' || year_before, null)), '; ' order by year_before desc
    ) as unknown
from years
group by pid
