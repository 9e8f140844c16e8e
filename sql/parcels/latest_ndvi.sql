-- Every parcel of $aoi and $year with its outline and its latest NDVI of a usable look: at least 8 pixels, enough of the parcel seen,
-- no pixel in the scene classes $screen (usually 3, 8, 9, 10, 11); and that date; both null where there is none. unknown: how many
-- looks at it were left out since no pixel is classified.
select pid, crop_name, area_m2, epsg, geometry, latest.ndvi, latest.obstime, coalesce(latest.unknown, 0) as unknown
from parcels
left join (
    select
        aoi, year, ptype, pid, arg_max(ndvi, obstime) filter (not unknown) as ndvi, max(obstime) filter (not unknown) as obstime,
        count(*) filter (unknown) as unknown
    from observations_s2($screen::integer[])
    where aoi = $aoi and year = $year and observable and not clouded and ndvi is not null
    group by all
) as latest using (aoi, year, ptype, pid)
where aoi = $aoi and year = $year
order by pid
