-- observed_{card}(classes, most, fewest, least_seen): the rows of {card}, each with what it is worth when the classes `classes` are screened.
-- pixels: see {card}_pixels(); cloud: the share of the classified pixels in these classes, null where none is classified; observable: see
-- is_observed(); unknown: whether no pixel is classified; clouded: see is_clouded(). These three decide; see is_usable() and why_not().
-- Null of `most`, `fewest` and `least_seen` is the lake's own rule: most_cloud(), least_pixels(), least_share().
create macro observed_{card}(classes, most := null, fewest := null, least_seen := null) as table
select
    * exclude (classified, screened),
    screened / nullif(classified, 0) as cloud,
    is_observed(pixels, share, fewest, least_seen) as observable,
    not coalesce(classified > 0, false) as unknown,
    coalesce(is_clouded(screened, classified, most), false) as clouded
from (
    select
        * exclude (observable),
        {pixels} as pixels,
        -- class 0 is no class, unless it is screened; constants are folded once, a list for every row would take longer than all the rest
        <<class +: if({class} > 0 or list_contains(classes, 0), {classes}_{class}, 0)>> as classified,
        <<class +: if(list_contains(classes, {class}), {classes}_{class}, 0)>> as screened
    from {card}
)
