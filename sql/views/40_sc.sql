-- Statistics of the numbers of scene classes, which the original library kept as band SC of s2; only what was migrated has them.
create view sc as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, scene, obstime, reference, null::float as share,
    columns('^SC_')
from signatures_sc
join (select extraction as counts, outlines from counting where card = 's2') on counts = extraction
anti join outdated using (outlines, pid)
