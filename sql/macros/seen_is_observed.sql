-- is_observed(pixels, seen, fewest, least_seen): whether the numbers of a look are worth something: at least `fewest` pixels (null:
-- least_pixels()), and at least the share `least_seen` of the parcel (null: least_share()). A null share, as in rows of version 0.1
-- and migrated ones, is taken for enough.
create macro is_observed(pixels, seen, fewest := null, least_seen := null) as
    coalesce(pixels >= coalesce(fewest, least_pixels()), false) and coalesce(seen >= coalesce(least_seen::float, least_share()), true)
