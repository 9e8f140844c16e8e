-- Every signature of card {card} that counts, by extraction: those of all pixels, whose mask is null, and beside them those of clear pixels
-- alone, whose mask says what was left out (see masked_classes()). share is that of the pixels counted in the whole parcel.
create view {card}_rows as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, scene, obstime, reference, rule, extraction, mask,
    is_observable({pixels}, share) as observable, share,
    [<<class: {classes}_{class}>>] as {classes},
    * exclude (aoi, year, ptype, pid, scene, obstime, reference, rule, extraction, mask, counts, outlines, share)
from signatures_{card}
join (select extraction as counts, outlines from counting where card = '{card}') on counts = extraction
anti join outdated using (outlines, pid)
