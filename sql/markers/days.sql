-- On which days (since 1970-01-01, UTC) each of the scenes $scenes of Sentinel-2 saw parcels of $aoi, $year and $ptype.
select distinct scene, (epoch_us(obstime) // 86_400_000_000)::integer as day
from s2
where aoi = $aoi and year = $year and ptype = $ptype and scene in (select unnest($scenes::varchar[]))
order by scene, day
