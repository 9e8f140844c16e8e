-- land_before(the_aoi, this_year, the_ptype, span): what the land of each parcel of an area in the year `this_year` was in the span - 1 years before, by
-- its lineage: a row per parcel, earlier year and earlier parcel, with the shared area (m² of the later parcel) and both declared crops; one
-- row without pid_before where nothing is on record for a year. Only lineage of the outlines in force counts. missing: why a year says
-- nothing; common_names, common_codes: whether the earlier year writes its crops as this one does, so that texts can be compared: at least
-- half of the parcels of one of the two years have a text that occurs in the other.
create macro land_before(the_aoi, this_year, the_ptype, span) as table
with declarations as (
    select
        year as of_year, pid, version, area_m2, nullif(lower(trim(crop_name)), '') as name, nullif(lower(trim(crop_code)), '') as code, hcat
    from parcels
    where aoi = the_aoi and ptype = the_ptype and year > this_year - span and year <= this_year
),
sets as (
    select of_year, any_value(string_split(version, '_')[1]) as outlines from declarations group by of_year
),
related as (
    select year_before, pid, pid_before, coalesce(share, shared_m2 / nullif(area_m2, 0)) as share
    from lineage
    join sets as now on now.of_year = lineage.year and now.outlines = string_split(lineage.version, '_')[1]
    join sets as old on old.of_year = lineage.year_before and old.outlines = string_split(lineage.version_before, '_')[1]
    where lineage.aoi = the_aoi and lineage.ptype = the_ptype and lineage.ptype_before = the_ptype and lineage.year = this_year and lineage.year_before > this_year - span
),
texts as (
    select of_year, system, text, count(*) as parcels
    from (
        select of_year, 'name' as system, name as text from declarations where name is not null
        union all
        select of_year, 'code' as system, code as text from declarations where code is not null
    )
    group by all
),
compared as (
    select
        old.of_year as year_before, system, sum(old.parcels) filter (now.parcels is not null) / sum(old.parcels) as back,
        coalesce(sum(now.parcels), 0) / any_value(everything.parcels) as forth
    from (from texts where of_year < this_year) as old
    left join (from texts where of_year = this_year) as now using (system, text)
    join (select system, sum(parcels) as parcels from texts where of_year = this_year group by system) as everything using (system)
    group by all
),
common as (
    select
        year_before, bool_or(greatest(coalesce(back, 0), forth) >= 0.5) filter (system = 'name') as common_names,
        bool_or(greatest(coalesce(back, 0), forth) >= 0.5) filter (system = 'code') as common_codes
    from compared
    group by year_before
),
steps as (
    select
        this_year - number as year_before, case
            when not exists (from sets where of_year = this_year - number) then 'no parcels of ' || (this_year - number) || ' in the lake'
            when not exists (from related where related.year_before = this_year - number) then 'no lineage from ' || (this_year - number)
        end as missing
    from (select unnest(range(1, span)) as number)
)
select
    now.pid, now.area_m2, now.name, now.code, now.hcat, steps.year_before::integer as year_before, old.pid as pid_before,
    coalesce(related.share, 0) * now.area_m2 as shared_m2, old.name as name_before, old.code as code_before, old.hcat as hcat_before,
    coalesce(common_names, false) as common_names, coalesce(common_codes, false) as common_codes, missing
from (from declarations where of_year = this_year) as now
cross join steps
left join related on related.year_before = steps.year_before and related.pid = now.pid and related.share > 0
left join declarations as old on old.of_year = steps.year_before and old.pid = related.pid_before
left join common on common.year_before = steps.year_before
