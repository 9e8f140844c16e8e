-- not_observed(pixels, seen, fewest, least_seen): why the numbers of a look are worth little: 'small' where it has fewer pixels than
-- `fewest` (null: least_pixels()), 'cut' where the share `seen` of the parcel is less than `least_seen` (null: least_share()), else null.
-- A null share, as in rows of version 0.1 and migrated ones, is taken for enough.
create macro not_observed(pixels, seen, fewest := null, least_seen := null) as case
    when coalesce(pixels, 0) < coalesce(fewest, least_pixels()) then 'small'
    when seen < coalesce(least_seen::float, least_share()) then 'cut'
end
