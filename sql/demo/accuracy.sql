-- How well the extracted NDVI of the demonstration agrees with the drawn one, with and without the dates that the scene classes $screen
-- hide: Pearson's r, root mean square difference, largest difference. $truth is the sample's truth.parquet.
select
    seen, count(*) as pairs, corr(extracted, drawn) as r,
    sqrt(avg((extracted - drawn) ** 2)) as rmse, max(abs(extracted - drawn)) as worst
from (
    select
        ndvi(B04_mean, B08_mean) as extracted, truth.ndvi as drawn,
        coalesce(share_of(scl, $screen::integer[]) = 0, false) as seen
    from s2
    join (select pid, obstime, ndvi from read_parquet($truth)) as truth using (pid, obstime)
    where aoi = $aoi and year = $year and observable and B04_mean is not null and B08_mean is not null
)
group by seen
order by seen desc
