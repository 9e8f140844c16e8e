-- The signatures of card bs as long rows, one per parcel, scene and band: the shape of the original's tables, with the share of the parcel that was seen.
create view bs_long as
select aoi, year, ptype, pid, scene as obsid, obstime, reference, share, unnest(bands, recursive := true)
from (
    select *, [
        {'band': 'VV', 'count': VV_count, 'mean': VV_mean, 'std': VV_std, 'min': VV_min, 'max': VV_max, 'p25': VV_p25, 'p50': VV_p50, 'p75': VV_p75},
        {'band': 'VH', 'count': VH_count, 'mean': VH_mean, 'std': VH_std, 'min': VH_min, 'max': VH_max, 'p25': VH_p25, 'p50': VH_p50, 'p75': VH_p75}
    ].list_filter(lambda item: item.count is not null) as bands
    from bs
)
