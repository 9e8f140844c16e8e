-- is_observable(pixels, share): is_observed() by the lake's own rule: at least 8 pixels, and enough of the parcel seen.
create macro is_observable(pixels, share) as is_observed(pixels, share)
