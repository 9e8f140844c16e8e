-- observed_s2(classes, most, fewest, least_seen, brightest): the rows of s2, each with what it is worth when the scene classes `classes`
-- are screened. pixels: see s2_pixels(); cloud: the share of the classified pixels in these classes, null where none is classified;
-- observable: see is_observed(); clouded: see is_clouded(); usable: observable, not clouded, with a classified pixel, and B04 not above
-- `brightest` DN (null: however bright); why_not: the first reason why it is not usable (small, cut, unknown, cloudy, bright), else null.
-- Null of `most`, `fewest` and `least_seen` is the lake's own rule: most_cloud(), least_pixels(), least_share().
create macro observed_s2(classes, most := null, fewest := null, least_seen := null, brightest := null) as table
select
    * exclude (observable, classified, screened),
    screened / nullif(classified, 0) as cloud,
    is_observed(pixels, share, fewest, least_seen) as observable,
    coalesce(is_clouded(screened, classified, most), false) as clouded,
    observable and not clouded and classified > 0 and coalesce(B04_mean <= brightest::double, true) as usable,
    case
        when usable then null when not observable then not_observed(pixels, share, fewest, least_seen)
        when classified = 0 then 'unknown' when clouded then 'cloudy' else 'bright'
    end as why_not
from (
    select
        *,
        s2_pixels(
            B02_count, B03_count, B04_count, B08_count, B05_count, B06_count, B07_count, B8A_count, B11_count, B12_count
        ) as pixels,
        -- twelve constants are folded once; a list for every row would take longer than all the rest
        if(list_contains(classes, 0), coalesce(scl_0, 0), 0)
        + coalesce(scl_1, 0)
        + coalesce(scl_2, 0)
        + coalesce(scl_3, 0)
        + coalesce(scl_4, 0)
        + coalesce(scl_5, 0)
        + coalesce(scl_6, 0)
        + coalesce(scl_7, 0)
        + coalesce(scl_8, 0)
        + coalesce(scl_9, 0)
        + coalesce(scl_10, 0)
        + coalesce(scl_11, 0) as classified,
        if(list_contains(classes, 0), coalesce(scl_0, 0), 0)
        + if(list_contains(classes, 1), coalesce(scl_1, 0), 0)
        + if(list_contains(classes, 2), coalesce(scl_2, 0), 0)
        + if(list_contains(classes, 3), coalesce(scl_3, 0), 0)
        + if(list_contains(classes, 4), coalesce(scl_4, 0), 0)
        + if(list_contains(classes, 5), coalesce(scl_5, 0), 0)
        + if(list_contains(classes, 6), coalesce(scl_6, 0), 0)
        + if(list_contains(classes, 7), coalesce(scl_7, 0), 0)
        + if(list_contains(classes, 8), coalesce(scl_8, 0), 0)
        + if(list_contains(classes, 9), coalesce(scl_9, 0), 0)
        + if(list_contains(classes, 10), coalesce(scl_10, 0), 0)
        + if(list_contains(classes, 11), coalesce(scl_11, 0), 0) as screened
    from s2
)
