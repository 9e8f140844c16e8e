-- observed_s2(classes, most, fewest, least_seen, brightest): the rows of s2, each with what it is worth when the scene classes `classes`
-- are screened: pixels (see s2_pixels), cloud (the share of the classified pixels in these classes, null where none is classified), observable,
-- why_not (why the look is not usable, see why_not(); also 'bright' where B04 is above `brightest` DN, unless that is null) and usable.
-- Null of the others is the lake's own rule: most_cloud(), least_pixels(), least_share().
create macro observed_s2(classes, most := null, fewest := null, least_seen := null, brightest := null) as table
select
    * exclude (observable, classified, screened),
    screened / nullif(classified, 0) as cloud,
    not_observed(pixels, share, fewest, least_seen) is null as observable,
    coalesce(
        why_not(pixels, share, cloud, most, fewest, least_seen),
        case when B04_mean > brightest::double then 'bright' end
    ) as why_not,
    why_not is null as usable
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
