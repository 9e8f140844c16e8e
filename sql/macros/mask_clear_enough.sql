-- is_clear_enough(pixels, clear, fewest, least_clear): whether the clear pixels of a parcel stand for it: at least `fewest` (null: least_pixels()),
-- and at least the share `least_clear` (null: least_clear()) of the whole parcel.
create macro is_clear_enough(pixels, clear, fewest := null, least_clear := null) as
    coalesce(pixels >= coalesce(fewest, least_pixels()), false)
    and coalesce(clear >= coalesce(least_clear::float, least_clear()), false)
