-- Whether the band $band of card {card} was extracted over the parcels of $aoi, $year and $ptype: whether any of them has a mean of it.
select count(*) > 0 as extracted
from (
    select value
    from (
        select columns(lambda c: c = $band || '_mean') as value
        from {card} where aoi = $aoi and year = $year and ptype = $ptype
    )
    where value is not null
    limit 1
)
