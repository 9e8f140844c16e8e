-- sky(cloud, most): 'clear' where the share `cloud` of a parcel's classified pixels that are in a screened class is at most `most` (0 to 1;
-- null: most_cloud()), else 'cloudy'; 'unknown' where that share is null: no pixel is classified, as in parcels too narrow for the
-- 20 m grid of the classification.
create macro sky(cloud, most := null) as
    -- by position in a list, so that the share is computed once
    coalesce(['cloudy', 'clear'][1 + (cloud <= coalesce(most::double, most_cloud()))::integer], 'unknown')
