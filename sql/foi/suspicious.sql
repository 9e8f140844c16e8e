-- How uneven the parcels of $aoi, $year and $ptype look from their signatures alone, the most suspicious first. Of every observable
-- parcel, of each date on which at most the share $cloud of it is in the scene classes $screen, and of each 10 m band of $bands:
-- cv = std / mean and iqr = (p75 - p25) / mean. Each is compared with the same crop on the same date (with all parcels where fewer than
-- $peers of the crop were seen): z = (value - median) / (1.4826 x median absolute deviation). Given are medians over the season and
-- bands; score is the mean of both z. Parcels seen on fewer than $dates dates are left out.
with seen as (
    select pid, crop_name, obstime, unnest(list_filter([
        {'band': 'B02', 'mean': B02_mean, 'cv': B02_std / B02_mean, 'iqr': (B02_p75 - B02_p25) / B02_mean},
        {'band': 'B03', 'mean': B03_mean, 'cv': B03_std / B03_mean, 'iqr': (B03_p75 - B03_p25) / B03_mean},
        {'band': 'B04', 'mean': B04_mean, 'cv': B04_std / B04_mean, 'iqr': (B04_p75 - B04_p25) / B04_mean},
        {'band': 'B08', 'mean': B08_mean, 'cv': B08_std / B08_mean, 'iqr': (B08_p75 - B08_p25) / B08_mean}
    ], lambda part: list_contains($bands::varchar[], part.band) and part.mean > 0), recursive := true)
    from observed_s2($screen::integer[], most := $cloud)
    join (
        select pid, coalesce(crop_name, '') as crop_name from parcels where aoi = $aoi and year = $year and ptype = $ptype
    ) using (pid)
    where aoi = $aoi and year = $year and ptype = $ptype and is_usable(observable, unknown, clouded)
),
-- of each crop of which enough was seen, and of all parcels together
usual as (
    select
        crop_name, obstime, band, grouping(crop_name) = 1 as everyone,
        median(cv) as cv, 1.4826 * mad(cv) as cv_mad, median(iqr) as iqr, 1.4826 * mad(iqr) as iqr_mad
    from seen
    group by grouping sets ((crop_name, obstime, band), (obstime, band))
    having everyone or count(*) >= $peers
),
compared as (
    select
        pid, seen.crop_name, obstime, seen.cv, seen.iqr,
        (seen.cv - coalesce(crop.cv, whole.cv)) / nullif(coalesce(crop.cv_mad, whole.cv_mad), 0) as cv_z,
        (seen.iqr - coalesce(crop.iqr, whole.iqr)) / nullif(coalesce(crop.iqr_mad, whole.iqr_mad), 0) as iqr_z
    from seen
    join (select * exclude (crop_name) from usual where everyone) as whole using (obstime, band)
    left join (select * from usual where not everyone) as crop using (crop_name, obstime, band)
)
select
    row_number() over (order by score desc nulls last, pid) as rank, *
from (
    select
        pid, crop_name, count(distinct obstime) as dates, median(cv) as cv, median(iqr) as iqr, median(cv_z) as cv_z,
        median(iqr_z) as iqr_z, (median(cv_z) + median(iqr_z)) / 2 as score
    from compared
    group by pid, crop_name
    having count(distinct obstime) >= $dates
)
order by rank
