-- not_observed(pixels, seen, fewest, least_seen): why the numbers of a look are worth little: 'small' where it has too few pixels, 'cut' where
-- too little of the parcel was seen, else null; see is_observed().
create macro not_observed(pixels, seen, fewest := null, least_seen := null) as case
    when is_observed(pixels, seen, fewest, least_seen) then null
    when is_observed(pixels, 1, fewest, 0) then 'cut'
    else 'small'
end
