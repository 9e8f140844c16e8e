-- observed_{card}(classes, most, fewest, least_seen, brightest): the rows of {card}, each with what it is worth when the classes `classes`
-- are screened. pixels: see {card}_pixels(); cloud: the share of the classified pixels in these classes, null where none is classified;
-- observable: see is_observed(); clouded: see is_clouded(); usable: observable, not clouded, with a classified pixel, and red not above
-- `brightest` DN (null: however bright); why_not: the first reason why it is not usable (small, cut, unknown, cloudy, bright), else null.
-- Null of `most`, `fewest` and `least_seen` is the lake's own rule: most_cloud(), least_pixels(), least_share().
create macro observed_{card}(classes, most := null, fewest := null, least_seen := null, brightest := null) as table
select
    * exclude (observable, classified, screened),
    screened / nullif(classified, 0) as cloud,
    is_observed(pixels, share, fewest, least_seen) as observable,
    coalesce(is_clouded(screened, classified, most), false) as clouded,
    observable and not clouded and classified > 0 and coalesce({key_band}_mean <= brightest::double, true) as usable,
    case
        when usable then null when not observable then not_observed(pixels, share, fewest, least_seen)
        when classified = 0 then 'unknown' when clouded then 'cloudy' else 'bright'
    end as why_not
from (
    select
        *,
        {pixels} as pixels,
        -- class 0 is no class, unless it is screened; constants are folded once, a list for every row would take longer than all the rest
        <<class +: if({class} > 0 or list_contains(classes, 0), coalesce({classes}_{class}, 0), 0)>> as classified,
        <<class +: if(list_contains(classes, {class}), coalesce({classes}_{class}, 0), 0)>> as screened
    from {card}
)
