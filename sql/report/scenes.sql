-- The scenes of which parcel $pid of $aoi, $year and $ptype has signatures that count: the product, its processing baseline and
-- offset, how the pixels were chosen, and when and by which version of cbm-lake it was extracted.
with seen as (
    <<card union all by name: select '{card}' as card, scene, any_value(rule) as rule from {card} where pid = $pid and aoi = $aoi and year = $year and ptype = $ptype group by scene>>
),
extracted as (
    select card, scene, max(finished) as finished, arg_max(version, (coalesce(sequence, 0), finished)) as version
    from done where aoi = $aoi and year = $year and ptype = $ptype group by card, scene
)
select
    seen.card, seen.scene, scenes.obstime, scenes.reference as product, scenes.processing_baseline as baseline,
    scenes.boa_offset, scenes.cloud_cover, seen.rule, extracted.finished as extracted, extracted.version
from seen
left join scenes on scenes.card = seen.card and scenes.id = seen.scene
left join extracted on extracted.card = seen.card and extracted.scene = seen.scene
order by scenes.obstime, seen.card, seen.scene
