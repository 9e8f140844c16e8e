-- sky_of(scl, classes, most): 'clear' where at most the share `most` (0 to 1; 0 unless told) of a parcel's classified pixels is of one of the
-- classes, else 'cloudy'; 'unknown' where no pixel is classified, as in parcels too narrow for the 20 m grid of the classification.
create macro sky_of(scl, classes, most := 0) as
    -- by place in a list, so that the share is worked out once
    coalesce(['cloudy', 'clear'][1 + (share_of(scl, classes) <= most)::integer], 'unknown')
