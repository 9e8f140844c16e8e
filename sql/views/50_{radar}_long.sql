-- The signatures of card {card} as long rows, one per parcel, scene and band: the shape of the original's tables, with the share of the parcel that was seen.
create view {card}_long as
select aoi, year, ptype, pid, scene as obsid, obstime, reference, share, unnest(bands, recursive := true)
from (
    select *, [
        <<measured: {'band': '{band}', <<statistic: '{statistic}': {band}_{statistic}>>}>>
    ].list_filter(lambda item: item.count is not null) as bands
    from {card}
)
