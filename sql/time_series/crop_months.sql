-- Median NDVI of every crop of $aoi and $year in each month, over parcels of at least 8 pixels none of which is in the scene
-- classes $screen (usually 3, 8, 9, 10, 11).
select crop_name as crop, month(obstime) as month, count(distinct pid) as parcels, round(median(value)::double, 2) as ndvi
from (
    select aoi, year, ptype, pid, obstime, ndvi(B04_mean, B08_mean) as value
    from s2
    where aoi = $aoi and year = $year and observable and share_of(scl, $screen::integer[]) = 0
)
join parcels using (aoi, year, ptype, pid)
where value is not null
group by all
order by all
