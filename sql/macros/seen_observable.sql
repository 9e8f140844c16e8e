-- is_observable(pixels, share): whether the numbers of a row are worth something: at least 8 pixels (Vajsova et al. 2020), and enough of the
-- parcel seen, see is_seen(share).
create macro is_observable(pixels, share) as coalesce(pixels >= 8, false) and is_seen(share)
