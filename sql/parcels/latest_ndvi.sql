-- Every parcel of $aoi and $year with its outline and its latest NDVI of a date without any pixel in the scene classes $screen
-- (usually 3, 8, 9, 10, 11), and that date; both null where there is none.
select pid, crop_name, area_m2, epsg, geometry, latest.ndvi, latest.obstime
from parcels
left join (
    select aoi, year, ptype, pid, arg_max(value, obstime) as ndvi, max(obstime) as obstime
    from (select *, ndvi(B04_mean, B08_mean) as value from s2 where share_of(scl, $screen::integer[]) = 0)
    where value is not null
    group by all
) as latest using (aoi, year, ptype, pid)
where aoi = $aoi and year = $year
order by pid
