-- s2_pixels(b02, b03, b04, b08, b05, b06, b07, b8a, b11, b12): the pixels of a look of Sentinel-2 by those of its bands: the fewest of the
-- 10 m bands that have any, since a mean of fewer is another part of the parcel than theirs; without such bands the most of the 20 m bands.
create macro s2_pixels(b02, b03, b04, b08, b05, b06, b07, b8a, b11, b12) as coalesce(
    least(nullif(b02, 0), nullif(b03, 0), nullif(b04, 0), nullif(b08, 0)), greatest(b05, b06, b07, b8a, b11, b12)
)
