-- How uneven the parcels of each crop of $aoi, $year and $ptype usually are over the season, per 10 m band of $bands: the median cv =
-- std / mean and iqr = (p75 - p25) / mean of all observable parcels and all dates on which at most the share $cloud of them is
-- in the scene classes $screen, and 1.4826 times their median absolute deviation, the standard deviation if they were normal.
select
    crop_name as crop, band, count(distinct pid) as parcels, count(*) as observations,
    median(std / mean) as cv, 1.4826 * mad(std / mean) as cv_mad,
    median((p75 - p25) / mean) as iqr, 1.4826 * mad((p75 - p25) / mean) as iqr_mad
from (
    select pid, crop_name, unnest(list_filter([
        {'band': 'B02', 'mean': B02_mean, 'std': B02_std, 'p25': B02_p25, 'p75': B02_p75},
        {'band': 'B03', 'mean': B03_mean, 'std': B03_std, 'p25': B03_p25, 'p75': B03_p75},
        {'band': 'B04', 'mean': B04_mean, 'std': B04_std, 'p25': B04_p25, 'p75': B04_p75},
        {'band': 'B08', 'mean': B08_mean, 'std': B08_std, 'p25': B08_p25, 'p75': B08_p75}
    ], lambda part: list_contains($bands::varchar[], part.band) and part.mean > 0), recursive := true)
    from observed_s2($screen::integer[], most := $cloud)
    join (select pid, crop_name from parcels where aoi = $aoi and year = $year and ptype = $ptype) using (pid)
    where aoi = $aoi and year = $year and ptype = $ptype and is_usable(observable, unknown, clouded)
)
group by all
order by all
