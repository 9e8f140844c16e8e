-- is_observable(pixels, share): whether the numbers of a row are worth something: enough pixels, and enough of the parcel seen; see
-- not_observed().
create macro is_observable(pixels, share) as not_observed(pixels, share) is null
