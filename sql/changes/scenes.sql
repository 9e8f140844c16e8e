-- The status of each scene that was extracted over $aoi, $year and $ptype, or tried: left out, suspect, superseded, failed, changed (its
-- catalogue entry is another since) or extracted; with the reason where there is one.
select
    tried.card, tried.scene,
    case
        when left_out.why is not null then 'left out'
        when suspected.scene is not null then 'suspect'
        when superseded.scene is not null then 'superseded'
        when tried.status = 'failed' then 'failed'
        when done.scene is null then 'changed'
        else 'extracted'
    end as status,
    case
        when left_out.why is not null then concat(left_out.why, ' (', left_out.who, ')')
        when suspected.scene is not null then suspected.reason
        when superseded.scene is null and tried.status = 'failed' then tried.problem
    end as reason
from extractions as tried
left join left_out on left_out.card = tried.card and left_out.scene = tried.scene
left join suspected on suspected.card = tried.card and suspected.scene = tried.scene
left join superseded
    on superseded.card = tried.card and superseded.scene = tried.scene
    and superseded.aoi = tried.aoi and superseded.year = tried.year and superseded.ptype = tried.ptype
left join (select distinct card, scene, aoi, year, ptype from done) as done
    on done.card = tried.card and done.scene = tried.scene
    and done.aoi = tried.aoi and done.year = tried.year and done.ptype = tried.ptype
where tried.aoi = $aoi and tried.year = $year and tried.ptype = $ptype
order by tried.card, tried.scene
