-- why_not(pixels, seen, observable, unknown, clouded, fewest): the first reason why a look is not usable: small, cut, unknown or cloudy; null
-- where it is usable; see is_usable() and not_observed().
create macro why_not(pixels, seen, observable, unknown, clouded, fewest := null) as case
    when is_usable(observable, unknown, clouded) then null
    when not observable then not_observed(pixels, seen, fewest)
    when unknown then 'unknown'
    else 'cloudy'
end
