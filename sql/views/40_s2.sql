-- Signatures of card s2, one wide row per parcel and scene: harmonised DN (reflectance x 10000, offset removed).
-- scl: pixels of each scene class, scl[1] is class 0; share: the share of the whole parcel, 0 to 1, that was seen; observable: at least
-- 8 pixels and enough of the parcel, see is_observable().
create view s2 as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, scene, obstime, reference, rule,
    is_observable(s2_pixels(
        B02_count, B03_count, B04_count, B08_count, B05_count, B06_count, B07_count, B8A_count, B11_count, B12_count
    ), share) as observable, share,
    [scl_0, scl_1, scl_2, scl_3, scl_4, scl_5, scl_6, scl_7, scl_8, scl_9, scl_10, scl_11] as scl,
    * exclude (aoi, year, ptype, pid, scene, obstime, reference, rule, extraction, counts, outlines, share)
from signatures_s2
join (select extraction as counts, outlines from counting where card = 's2') on counts = extraction
anti join outdated using (outlines, pid)
