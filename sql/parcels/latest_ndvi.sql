-- Every parcel of $aoi and $year with its outline and its latest NDVI of a date on which enough of it was seen, without any pixel in the
-- scene classes $screen (usually 3, 8, 9, 10, 11), and that date; both null where there is none. unknown: how many looks at it were left
-- out since no pixel is classified.
select pid, crop_name, area_m2, epsg, geometry, latest.ndvi, latest.obstime, coalesce(latest.unknown, 0) as unknown
from parcels
left join (
    select
        aoi, year, ptype, pid, arg_max(value, obstime) filter (sky = 'clear') as ndvi, max(obstime) filter (sky = 'clear') as obstime,
        count(*) filter (sky = 'unknown') as unknown
    from (
        select aoi, year, ptype, pid, obstime, ndvi(B04_mean, B08_mean) as value, sky_of(scl, $screen::integer[]) as sky
        from s2 where aoi = $aoi and year = $year and is_seen(share)
    )
    where value is not null
    group by all
) as latest using (aoi, year, ptype, pid)
where aoi = $aoi and year = $year
order by pid
