-- The last day (days since 1970-01-01, UTC) on which a scene of any card was extracted over the parcels of $aoi, $year and $ptype; null
-- where none was.
select max(epoch_us(obstime) // 86_400_000_000)::integer as day
from (
    select max(obstime) as obstime from s2 where aoi = $aoi and year = $year and ptype = $ptype
    union all
    select max(obstime) from bs where aoi = $aoi and year = $year and ptype = $ptype
    union all
    select max(obstime) from c6 where aoi = $aoi and year = $year and ptype = $ptype
    union all
    select max(obstime) from ls where aoi = $aoi and year = $year and ptype = $ptype
)
