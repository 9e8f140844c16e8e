-- is_seen(share): whether a scene saw enough of a parcel, see least_share(); true where the share is null, as in rows of version 0.1 and
-- migrated ones.
create macro is_seen(share) as is_observed(least_pixels(), share)
