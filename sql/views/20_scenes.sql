-- Every catalogued scene. status: ingested, extracted or failed (over any parcel set, the latest word counts).
-- superseded: the same acquisition is catalogued again with a newer processing baseline, or the same product under another id.
-- Two products of one acquisition and baseline both stay: a tile that lies across two datastrips comes in two halves.
-- suspect: what is wrong with it, where its data say that something is; see guard.
-- left_out: why somebody left it out, where that is so; such a scene supersedes no other.
-- obsid: the number that a migrated scene had in the original's catalogue, else one made of the scene's card and id.
-- A copy without rasters never hides one that has them: processing_rank sorts by both.
create view scenes as
with known as (
    select *, row_number() over (partition by card, id order by ingested desc) as copy,
        concat(coalesce(assets.B04, assets.VV) is not null, coalesce("s2:processing_baseline", '')) as rank,
        (card, id) in (select card, scene from left_out) as gone
    from stac_scenes
),
tried as (
    select card, scene, arg_max(status, finished) as status, arg_max(problem, finished) as problem
    from extractions
    group by card, scene
),
numbered as (
    select card, scene, max(obsid) as obsid from obsids group by card, scene
)
select
    known.id, known.datetime as obstime, known.reference, known.sensor, known.card,
    case tried.status when 'done' then 'extracted' when 'failed' then 'failed' else 'ingested' end as status,
    tried.problem,
    known."s2:processing_baseline" as processing_baseline, known.boa_offset, known."eo:cloud_cover" as cloud_cover,
    try_cast(split_part(known."proj:code", ':', 2) as integer) as epsg,
    replace(known."grid:code", 'MGRS-', '') as tile,
    known."sat:relative_orbit" as relative_orbit, known."sat:orbit_state" as orbit_state,
    known.rank as processing_rank,
    coalesce(rank < max(rank) filter (not gone) over (partition by known.card, known.acquisition), false)
        or row_number() over (partition by known.card, known.acquisition, rank, known.reference order by gone, known.id desc) > 1
        as superseded,
    (select any_value(kind) from suspected where suspected.card = known.card and suspected.scene = known.id) as suspect,
    (select any_value(why) from left_out where left_out.card = known.card and left_out.scene = known.id) as left_out,
    coalesce(numbered.obsid, (md5_number_lower(concat(known.card, '/', known.id)) >> 12)::bigint) as obsid,
    known.acquisition, known.geometry as footprint, known.bbox, known.assets, known.source, known.ingested
from known
left join tried on tried.card = known.card and tried.scene = known.id
left join numbered on numbered.card = known.card and numbered.scene = known.id
where known.copy = 1
