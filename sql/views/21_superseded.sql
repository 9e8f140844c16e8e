-- Scenes whose signatures over a parcel set are left out of s2, bs and c6: one that supersedes them was extracted over that very set.
-- That a later attempt at it failed does not matter: what it wrote before stays.
create table superseded as
with ranked as materialized (select card, id, acquisition, processing_rank, reference, superseded, left_out from scenes)
select distinct older.card, older.id as scene, done.aoi, done.year, done.ptype
from ranked as older
join ranked as newer on newer.card = older.card and newer.acquisition = older.acquisition and newer.left_out is null and (
    newer.processing_rank > older.processing_rank
    or newer.processing_rank = older.processing_rank and newer.reference = older.reference and newer.id > older.id
)
join done on done.card = newer.card and done.scene = newer.id
where older.superseded
