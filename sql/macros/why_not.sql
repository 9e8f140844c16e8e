-- why_not(pixels, seen, cloud, most, fewest, least_seen): why a look of Sentinel-2 at a parcel is not usable: 'small', 'cut', 'unknown' or
-- 'cloudy', see not_observed() and sky(), the first that applies; null where it is usable.
create macro why_not(pixels, seen, cloud, most := null, fewest := null, least_seen := null) as
    coalesce(not_observed(pixels, seen, fewest, least_seen), nullif(sky(cloud, most), 'clear'))
