-- The signatures of card s2 as long rows, one per parcel, scene and band: the shape of the original's tables, with the share of the parcel that was seen.
-- Band SC, statistics of the scene classes' numbers, only where it was migrated.
create view s2_long as
select aoi, year, ptype, pid, scene as obsid, obstime, reference, share, scl, unnest(bands, recursive := true)
from (
    select *, [
        {'band': 'B02', 'count': B02_count, 'mean': B02_mean, 'std': B02_std, 'min': B02_min, 'max': B02_max, 'p25': B02_p25, 'p50': B02_p50, 'p75': B02_p75},
        {'band': 'B03', 'count': B03_count, 'mean': B03_mean, 'std': B03_std, 'min': B03_min, 'max': B03_max, 'p25': B03_p25, 'p50': B03_p50, 'p75': B03_p75},
        {'band': 'B04', 'count': B04_count, 'mean': B04_mean, 'std': B04_std, 'min': B04_min, 'max': B04_max, 'p25': B04_p25, 'p50': B04_p50, 'p75': B04_p75},
        {'band': 'B05', 'count': B05_count, 'mean': B05_mean, 'std': B05_std, 'min': B05_min, 'max': B05_max, 'p25': B05_p25, 'p50': B05_p50, 'p75': B05_p75},
        {'band': 'B06', 'count': B06_count, 'mean': B06_mean, 'std': B06_std, 'min': B06_min, 'max': B06_max, 'p25': B06_p25, 'p50': B06_p50, 'p75': B06_p75},
        {'band': 'B07', 'count': B07_count, 'mean': B07_mean, 'std': B07_std, 'min': B07_min, 'max': B07_max, 'p25': B07_p25, 'p50': B07_p50, 'p75': B07_p75},
        {'band': 'B08', 'count': B08_count, 'mean': B08_mean, 'std': B08_std, 'min': B08_min, 'max': B08_max, 'p25': B08_p25, 'p50': B08_p50, 'p75': B08_p75},
        {'band': 'B8A', 'count': B8A_count, 'mean': B8A_mean, 'std': B8A_std, 'min': B8A_min, 'max': B8A_max, 'p25': B8A_p25, 'p50': B8A_p50, 'p75': B8A_p75},
        {'band': 'B11', 'count': B11_count, 'mean': B11_mean, 'std': B11_std, 'min': B11_min, 'max': B11_max, 'p25': B11_p25, 'p50': B11_p50, 'p75': B11_p75},
        {'band': 'B12', 'count': B12_count, 'mean': B12_mean, 'std': B12_std, 'min': B12_min, 'max': B12_max, 'p25': B12_p25, 'p50': B12_p50, 'p75': B12_p75},
        {'band': 'SC', 'count': SC_count, 'mean': SC_mean, 'std': SC_std, 'min': SC_min, 'max': SC_max, 'p25': SC_p25, 'p50': SC_p50, 'p75': SC_p75}
    ].list_filter(lambda item: item.count is not null) as bands
    from s2
    left join (select * exclude (obstime, reference, share) from sc) using (aoi, year, ptype, pid, scene)
)
