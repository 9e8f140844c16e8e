-- Signatures of card {card}, one wide row per parcel and scene: {measured}.
-- share: the share of the whole parcel, 0 to 1, that was seen; observable: at least 8 pixels and enough of the parcel, see is_observable().
create view {card} as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, scene, obstime, reference, rule,
    is_observable({pixels}, share) as observable, share,
    * exclude (aoi, year, ptype, pid, scene, obstime, reference, rule, extraction, mask, counts, outlines, share)
from signatures_{card}
join (select extraction as counts, outlines from counting where card = '{card}') on counts = extraction
anti join outdated using (outlines, pid)
