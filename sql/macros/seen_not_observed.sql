-- not_observed(pixels, seen, fewest): why the numbers of a look that is not observable are worth little: 'small' where it has fewer pixels than
-- `fewest` (null: least_pixels()), else 'cut'; see is_observed().
create macro not_observed(pixels, seen, fewest := null) as if(is_observed(pixels, null, fewest), 'cut', 'small')
