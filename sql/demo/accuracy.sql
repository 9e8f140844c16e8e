-- How well the extracted NDVI of the demonstration agrees with the drawn one, over parcels of at least 8 pixels of $aoi and $year: Pearson's
-- r, root mean square and largest difference of the observations that are clear, that the edge of the swath cuts, and that have
-- pixels in the scene classes $screen. $truth is the sample's truth.parquet.
select
    observations, count(*) as pairs, corr(extracted, drawn) as r,
    sqrt(avg((extracted - drawn) ** 2)) as rmse, max(abs(extracted - drawn)) as worst
from (
    select
        ndvi(B04_mean, B08_mean) as extracted, truth.ndvi as drawn,
        case when clouded then 'clouded' when scl[1] > 0 then 'cut' else 'clear' end as observations
    from observed_s2($screen::integer[], least_clear := 2) -- of all pixels, always
    join (select pid, obstime, ndvi from read_parquet($truth)) as truth using (pid, obstime)
    where aoi = $aoi and year = $year and observable and cloud is not null
        and B04_mean is not null and B08_mean is not null
)
group by observations
order by list_position(['clear', 'cut', 'clouded'], observations)
