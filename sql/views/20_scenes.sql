-- Every catalogued scene. status: ingested, extracted or failed (over any parcel set, the latest word counts);
-- superseded: a newer processing of the same acquisition is catalogued too.
create view scenes as
with known as (
    select *, row_number() over (partition by card, id order by ingested) as copy from stac_scenes
),
tried as (
    select card, scene, arg_max(status, finished) as status, arg_max(problem, finished) as problem
    from extractions
    group by card, scene
)
select
    known.id, known.datetime as obstime, known.reference, known.sensor, known.card,
    case tried.status when 'done' then 'extracted' when 'failed' then 'failed' else 'ingested' end as status,
    tried.problem,
    known."s2:processing_baseline" as processing_baseline, known.boa_offset, known."eo:cloud_cover" as cloud_cover,
    try_cast(split_part(known."proj:code", ':', 2) as integer) as epsg,
    replace(known."grid:code", 'MGRS-', '') as tile,
    known."sat:relative_orbit" as relative_orbit, known."sat:orbit_state" as orbit_state,
    row_number() over (
        partition by known.card, known.acquisition
        order by known."s2:processing_baseline" desc nulls last, known.reference desc, known.id desc
    ) > 1 as superseded,
    known.acquisition, known.geometry as footprint, known.bbox, known.assets, known.source, known.ingested
from known
left join tried on tried.card = known.card and tried.scene = known.id
where known.copy = 1
