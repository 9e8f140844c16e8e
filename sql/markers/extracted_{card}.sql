-- A row where the band $band of card {card} was extracted over the parcels of $aoi, $year and $ptype, so that any of them has a mean of it.
select true as extracted
from (
    select coalesce(<<band: if($band = '{band}', {band}_mean, null)>>) as value
    from {card} where aoi = $aoi and year = $year and ptype = $ptype
)
where value is not null
limit 1
