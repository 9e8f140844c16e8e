-- Every catalogued scene. status: ingested, extracted, failed (over any parcel set, the latest word counts) or changed: it was
-- extracted, but its catalogue entry is another since, so that what was extracted counts no more until it is extracted again.
-- superseded: another takes its place; see "superseding".
-- suspect: what is wrong with it, where its data say that something is; see guard.
-- left_out: why somebody left it out, where that is so; such a scene supersedes no other.
-- obsid: the number that a migrated scene had in the original's catalogue, else one made of the scene's card and id.
-- A copy without rasters never hides one that has them: processing_rank sorts by both.
create view scenes as
with tried as (
    select
        card, scene, arg_max(status, (coalesce(sequence, 0), finished, attempt, aoi, year, ptype)) as status,
        arg_max(problem, (coalesce(sequence, 0), finished, attempt, aoi, year, ptype)) as problem
    from extractions
    group by card, scene
),
numbered as (
    select card, scene, max(obsid) as obsid from obsids group by card, scene
)
select
    known.id, known.datetime as obstime, known.reference, known.sensor, known.card,
    case
        when tried.status = 'failed' then 'failed'
        when tried.status = 'done' and (known.card, known.id) in (select card, scene from done) then 'extracted'
        when tried.status = 'done' then 'changed'
        else 'ingested'
    end as status,
    tried.problem,
    known."s2:processing_baseline" as processing_baseline, known.boa_offset, known."eo:cloud_cover" as cloud_cover,
    try_cast(split_part(known."proj:code", ':', 2) as integer) as epsg,
    replace(known."grid:code", 'MGRS-', '') as tile,
    known."sat:relative_orbit" as relative_orbit, known."sat:orbit_state" as orbit_state,
    known.rank as processing_rank,
    (known.card, known.id) in (select card, older from superseding) as superseded,
    (select any_value(kind) from suspected where suspected.card = known.card and suspected.scene = known.id) as suspect,
    (select any_value(why) from left_out where left_out.card = known.card and left_out.scene = known.id) as left_out,
    coalesce(numbered.obsid, (md5_number_lower(concat(known.card, '/', known.id)) >> 12)::bigint) as obsid,
    known.acquisition, known.datastrip, known.produced, known.known_revision as revision,
    known.geometry as footprint, known.bbox, known.assets, known.source, known.ingested
from current_scenes as known
left join tried on tried.card = known.card and tried.scene = known.id
left join numbered on numbered.card = known.card and numbered.scene = known.id
