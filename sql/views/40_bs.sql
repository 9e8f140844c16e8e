-- Signatures of card bs, one wide row per parcel and scene: VV and VH in linear units (mean of linear values, never of decibels).
-- share: the share of the whole parcel, 0 to 1, that was seen; observable: at least 8 pixels and enough of the parcel, see is_observable().
create view bs as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, scene, obstime, reference, rule,
    is_observable(greatest(VV_count, VH_count), share) as observable, share,
    * exclude (aoi, year, ptype, pid, scene, obstime, reference, rule, extraction, counts, outlines, share)
from signatures_bs
join (select extraction as counts, outlines from counting where card = 'bs') on counts = extraction
anti join outdated using (outlines, pid)
