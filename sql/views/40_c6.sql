-- Signatures of card c6, one wide row per parcel and scene: VV and VH in linear units (mean of linear values, never of decibels).
-- observable: at least 8 pixels, so that the numbers are worth something.
create view c6 as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, scene, obstime, reference, rule,
    coalesce(VV_count >= 8 or VH_count >= 8, false) as observable,
    * exclude (aoi, year, ptype, pid, scene, obstime, reference, rule, extraction, counts, outlines)
from signatures_c6
join (select extraction as counts, outlines from counting where card = 'c6') on counts = extraction
anti join outdated using (outlines, pid)
