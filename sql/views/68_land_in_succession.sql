-- land_in_succession(the_aoi, this_year, the_ptype, span, listed, digits): of each parcel, the land on which in each of the span - 1 years before a crop of
-- land_of_crops() grew: least_m2 is certain, most_m2 possible. Both follow from the shares of each year alone: with one year before they differ
-- by what is not known of it; with more also where only outlines say whether the shares of different years are the same land (is_open). Land that was
-- declared twice in a year, with and without such a crop, is neither; where earlier parcels overlap each other by more than slivers, only the
-- largest of them is certain, and the row is open, too. unknown says which years say nothing about how much of the parcel; evidence lists the earlier parcels, their crops and shares.
create macro land_in_succession(the_aoi, this_year, the_ptype, span, listed, digits) as table
with years as (
    select
        coalesce(sum(shared_m2), 0) > 1.005 * any_value(area_m2) as has_overlaps,
        pid, year_before, any_value(area_m2) as area_m2, any_value(missing) as missing,
        least(coalesce(sum(shared_m2) filter (counts), 0), any_value(area_m2)) as inside,
        least(coalesce(sum(shared_m2) filter (not counts), 0), any_value(area_m2)) as outside,
        -- land that two earlier parcels claim, of which one counts and one does not, is neither
        greatest(inside + outside - any_value(area_m2) * 1.000001, 0) as twice,
        if(has_overlaps, greatest(coalesce(max(shared_m2) filter (counts), 0) - outside, 0), inside - twice) as in_m2,
        if(has_overlaps, greatest(coalesce(max(shared_m2) filter (not counts), 0) - inside, 0), outside - twice) as out_m2,
        coalesce(sum(shared_m2) filter (pid_before is not null and counts is null), 0) / nullif(any_value(area_m2), 0) as unjudged,
        greatest(1 - sum(shared_m2) / nullif(any_value(area_m2), 0), 0) as undeclared,
        bool_and(coalesce(name_before, code_before, hcat_before) is null) filter (pid_before is not null) as has_no_crops,
        list(pid_before order by shared_m2 desc, pid_before) filter (pid_before is not null) as pids_before,
        list(distinct compared_by order by compared_by) filter (compared_by is not null) as compared_by,
        string_agg(
            pid_before || ' (' || coalesce(name_before, code_before, hcat_before, 'no crop') || ') '
            || format('{:.2f}', shared_m2 / nullif(area_m2, 0)), ', ' order by shared_m2 desc, pid_before
        ) filter (shared_m2 >= 0.005 * area_m2) as parts
    from land_of_crops(the_aoi, this_year, the_ptype, span, listed, digits)
    group by pid, year_before
)
select
    pid, any_value(area_m2) as area_m2,
    greatest(sum(in_m2) - (count(*) - 1) * any_value(area_m2), 0) as least_m2, min(area_m2 - out_m2) as most_m2,
    least_m2 < most_m2 and count(*) > 1 or bool_or(has_overlaps) as is_open,
    list(year_before order by year_before desc) as years,
    coalesce(flatten(list(pids_before order by year_before desc) filter (pids_before is not null)), []) as pids_before,
    coalesce(list_sort(list_distinct(flatten(list(compared_by) filter (compared_by is not null)))), []) as compared_by,
    string_agg(year_before || ': ' || coalesce(parts, 'nothing on record'), '; ' order by year_before desc) as evidence,
    string_agg(case
        when missing is not null then missing
        when undeclared > 0.005 then format('{:.0f} % of the land was not declared in ', 100 * undeclared) || year_before
            || if(unjudged > 0.005, format(', crops of {:.0f} % cannot be judged', 100 * unjudged), '')
        when twice > 0.005 * area_m2 then format('{:.0f} % of the land was declared twice in ', 100 * twice / area_m2) || year_before
        when has_overlaps then 'parcels of ' || year_before || ' overlap each other there'
        when has_no_crops then 'no crop is declared in ' || year_before
        when unjudged > 0.005 then format('crops of {:.0f} % of the land cannot be judged in ', 100 * unjudged) || year_before
    end, '; ' order by year_before desc) as unknown
from years
group by pid
