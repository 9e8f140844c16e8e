-- sky(cloud, most): 'clear' or 'cloudy', see is_clouded(), by the share `cloud` of a parcel's classified pixels that are in a screened class;
-- 'unknown' where that is null: no pixel is classified, as in parcels too narrow for the 20 m grid of the classification.
create macro sky(cloud, most := null) as
    -- by position in a list, so that the share is computed once
    coalesce(['clear', 'cloudy'][1 + is_clouded(cloud, 1, most)::integer], 'unknown')
