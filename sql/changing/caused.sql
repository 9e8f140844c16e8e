-- The changes (table changes) with their causes: what was done (table done: card, scene, what) to scenes over the parcel (table over: card,
-- scene, pid), at most $listed of them by name; then $general, which is about all parcels; then whether a light was due by $day, having been
-- $not_yet before. Where nothing of this is the case, the course of the season. Of a scene's status: the status, and why.
with happened as (
    select
        over.pid, done.what || ' ' || done.card as what, count(*) as scenes,
        string_agg(done.scene, ', ' order by done.scene) as names, list(done.scene) as listed
    from over
    join done on done.card = over.card and done.scene = over.scene
    where over.pid in (select pid from changes)
    group by 1, 2
),
of_parcels as (
    select
        pid, string_agg(if(scenes <= $listed, concat(what, ' ', names), concat(scenes, ' times ', what)), '; ' order by what) as causes,
        list_sort(flatten(list(listed))) as scenes
    from happened
    group by pid
)
select
    changes.*,
    if(
        kind = 'scene', concat_ws(': ', coalesce(after, 'gone'), reason),
        coalesce(
            nullif(concat_ws(
                '; ', causes, $general,
                if(kind = 'light' and before = $not_yet and after is distinct from $not_yet, concat('due by ', $day::date), null)
            ), ''),
            concat('the season went on to ', $day::date, ', or other parcels of its crop changed')
        )
    ) as cause,
    if(kind = 'scene', [scene], of_parcels.scenes) as scenes
from changes
left join of_parcels using (pid)
