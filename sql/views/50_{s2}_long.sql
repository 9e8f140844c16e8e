-- The signatures of card {card} as long rows, one per parcel, scene and band: the shape of the original's tables, with the share of the parcel that was seen.
-- Band SC, statistics of the scene classes' numbers, only where it was migrated.
create view {card}_long as
select aoi, year, ptype, pid, scene as obsid, obstime, reference, share, {classes}, unnest(bands, recursive := true)
from (
    select *, [
        <<measured: {'band': '{band}', <<statistic: '{statistic}': {band}_{statistic}>>}>>,
        {'band': 'SC', <<statistic: '{statistic}': SC_{statistic}>>}
    ].list_filter(lambda item: item.count is not null) as bands
    from {card}
    left join (select * exclude (obstime, reference, share) from sc) using (aoi, year, ptype, pid, scene)
)
