-- Scenes that stand in the table catalogued (one row per file and scene) more than once, with other values of what makes the scene
-- and no revision that tells them apart.
select
    card, id, list(distinct file order by file) as files,
    concat_ws(
        ', ',
        case when count(distinct datetime) > 1 then 'datetime' end,
        case when count(distinct reference) > 1 then 'reference' end,
        case when count(distinct acquisition) > 1 then 'acquisition' end,
        case when count(distinct boa_offset) > 1 then 'boa_offset' end
    ) as differing
from catalogued
group by card, id, coalesce(revision, '')
having differing <> ''
order by all
