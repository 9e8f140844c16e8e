-- observed_{card}(classes, most, fewest, least_seen, least_clear): the rows of {card}, each with what it is worth when the classes `classes` are screened.
-- pixels: see {card}_pixels(); cloud: the share of the classified pixels in these classes, null where none is classified; observable: see
-- is_observed(); unknown: whether no pixel is classified; clouded: see is_clouded(). These three decide; see is_usable() and why_not().
-- Where the sky over a parcel that was seen well enough is not clear, but enough of it is (see is_clear_enough()) and the mask of its clear
-- pixels screens `classes`, the numbers are those of its clear pixels alone (clear_part; mask says what was left out), of which none is
-- clouded; share stays that of the whole parcel. clear_share: the share of the parcel that is clear. So it is where only pixels of a finer
-- grid than that of the classes are clouded; masks that are more than scene classes also hide what these show clear.
-- Null of `most`, `fewest`, `least_seen` and `least_clear` is the lake's own rule: most_cloud(), least_pixels(), least_share(), least_clear().
create macro observed_{card}(classes, most := null, fewest := null, least_seen := null, least_clear := null) as table
with looks as not materialized (
    select
        *,
        {pixels} as pixels,
        -- class 0 is no class, unless it is screened; constants are folded once, a list for every row would take longer than all the rest
        <<class +: if({class} > 0 or list_contains(classes, 0), {classes}_{class}, 0)>> as classified,
        <<class +: if(list_contains(classes, {class}), {classes}_{class}, 0)>> as screened
    from {card}_rows
),
judged as not materialized (
    select
        aoi, year, ptype, pid, extraction, obstime, whole.share as seen, part.share as clear,
        is_masked_beyond(part.mask) and len(classes) > 0 as beyond,
        (beyond or list_has_all(classes, list_filter(masked_classes(part.mask), lambda class: class > 0)))
            and coalesce(is_clouded(1 - part.share / coalesce(whole.share, 1), 1, most), true) as hidden,
        is_observed(whole.pixels, whole.share, fewest, least_seen)
            and (hidden or coalesce(is_clouded(whole.screened, whole.classified, most), false))
            and is_clear_enough(part.pixels, part.share, fewest, least_clear)
            and list_has_all(masked_classes(part.mask), classes) as clears
    from (select * from looks where mask is not null) as part
    join (select * from looks where mask is null) as whole using (aoi, year, ptype, pid, extraction, obstime)
)
select
    looks.* exclude (extraction, mask, observable, classified, screened) replace (if(mask is null, looks.share, seen) as share),
    if(mask is null, screened / nullif(classified, 0), 0) as cloud,
    if(mask is null, 1 - cloud, clear) as clear_share,
    mask is not null as clear_part,
    mask,
    mask is not null or is_observed(pixels, looks.share, fewest, least_seen) as observable,
    mask is null and not coalesce(classified > 0, false) as unknown,
    coalesce(is_clouded(screened, classified, most), false) or coalesce(mask is null and beyond and hidden, false) as clouded
from looks
-- obstime follows from extraction; it is here so that only the files of the days that are asked for are read
left join judged using (aoi, year, ptype, pid, extraction, obstime)
where coalesce(clears, false) = (mask is not null)
