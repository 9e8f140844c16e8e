-- Which scene (newer) takes the place of which (older), over any parcel set once it was extracted over it.
-- Of one acquisition the newer processing baseline, and a product with rasters before a copy without, that is if both are of one
-- datastrip (reprocessing moves its start by a few seconds), or if it lies over nine tenths of the older: a half of a tile that was
-- reprocessed alone leaves the other half in force. Of one datastrip and baseline, or of one product, the one that was made last.
-- A scene that was left out takes nobody's place. Of radar also slices that share more than half of their time: near-real-time and later processings cut a pass differently.
create table superseding as
with pairs as (
    select older, newer
    from identities as older
    join identities as newer on newer.card = older.card and newer.acquisition = older.acquisition and newer.id <> older.id
    union all
    select older, newer
    from identities as older
    join identities as newer
        on newer.card = older.card and newer.sensor = older.sensor and newer.acquisition <> older.acquisition
        and newer.sensed_from < older.sensed_to and older.sensed_from < newer.sensed_to
    where
        least(older.sensed_to, newer.sensed_to) - greatest(older.sensed_from, newer.sensed_from)
        > least(older.sensed_to - older.sensed_from, newer.sensed_to - newer.sensed_from) / 2
        and greatest(older.sensed_to - older.sensed_from, newer.sensed_to - newer.sensed_from) < interval 5 minutes
),
compared as (
    select
        *, older.datastrip is null or newer.datastrip is null as unknown_datastrip,
        abs(epoch(newer.datastrip) - epoch(older.datastrip)) <= 5 as same_datastrip,
        greatest(least(older.bbox.xmax, newer.bbox.xmax) - greatest(older.bbox.xmin, newer.bbox.xmin), 0)
        * greatest(least(older.bbox.ymax, newer.bbox.ymax) - greatest(older.bbox.ymin, newer.bbox.ymin), 0)
        >= 0.9 * (older.bbox.xmax - older.bbox.xmin) * (older.bbox.ymax - older.bbox.ymin) as lies_over
    from pairs
)
select older.card as card, older.id as older, newer.id as newer
from compared
where (newer.card, newer.id) not in (select card, scene from left_out) and (
    newer.rank > older.rank and (older.card <> 's2' or unknown_datastrip or same_datastrip or lies_over)
    or newer.rank = older.rank and (older.card <> 's2' or same_datastrip or newer.reference = older.reference)
    and (coalesce(newer.produced, 'epoch'::timestamptz), newer.reference, newer.id)
    > (coalesce(older.produced, 'epoch'::timestamptz), older.reference, older.id)
)
