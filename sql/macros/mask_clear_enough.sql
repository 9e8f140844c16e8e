-- is_clear_enough(pixels, clear, fewest, least_clear): whether the clear pixels of a parcel stand for it: at least `fewest` (null: least_pixels()),
-- and at least the share `least_clear` (null: least_clear()) of the whole parcel. Less than least_stored() is refused: parcels of which
-- less is clear have no row of clear pixels.
create macro is_clear_enough(pixels, clear, fewest := null, least_clear := null) as
    coalesce(pixels >= coalesce(fewest, least_pixels()), false)
    and coalesce(
        clear >= if(
            least_clear::float < least_stored(),
            error(
                'least_clear := ' || least_clear || ' is below ' || least_stored()
                || ': of parcels of which less is clear no clear pixels are stored; give that or more'
            ),
            coalesce(least_clear::float, least_clear())
        ),
        false
    )
