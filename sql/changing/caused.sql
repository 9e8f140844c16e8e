-- The changes (table changes) with their causes, in this order: what was declared otherwise of the parcel (table declared: kind, scenario,
-- marker, pid, what); what happened to scenes (table done: kind, card, scene, what, extraction) that have rows over it (table over: card,
-- scene, extraction, pid), at most $listed of them by name; of what is compared with other parcels (markers $peers, scenarios $compared)
-- what happened over those alone; of scenarios over crop checks ($checked) no scene; what is other for all (table general: kind, scenario, marker, what); and the day that had to come for a
-- light (table turns: pid, scenario, turned), where it came after $before and by $day: its due date, or the end of the time in which clear
-- looks were waited for. Scenes are no cause of a light that only waits, or has waited, for clear looks, nor of one that has come or is gone
-- by the declaration or by what is other for all. Of a parcel that is new, or declared no more, that alone. Of a light without any of this, whose parcel and rules
-- are as they were, days have passed where $day is after $before, or it is judged as of an earlier one; else nothing is known. Of a scene's
-- status: the status, and why (table decided: card, scene, status, why).
with noted as (
    select *, row_number() over () as id
    from changes
),
own as (
    select distinct over.pid, done.kind, done.card, done.what, done.scene
    from over
    join done on done.card = over.card and done.scene = over.scene and done.extraction = over.extraction
    where over.pid in (select pid from changes)
),
worded as (
    select
        pid, kind, card, what,
        if(count(*) <= $listed, concat_ws(' ', what, card, string_agg(scene, ', ' order by scene)), concat_ws(' ', count(*), 'times', what, card)) as words,
        list(scene order by scene) as scenes
    from own
    group by pid, kind, card, what
),
of_scenes as (
    select noted.id, worded.card, worded.what, worded.words, worded.scenes
    from noted
    join worded on worded.pid = noted.pid and (worded.kind = noted.kind or noted.kind = 'light' and list_contains($compared::varchar[], noted.scenario))
    where not list_contains($checked::varchar[], coalesce(noted.scenario, ''))
),
events as (
    select
        done.kind, done.card, done.what, list(distinct done.scene order by done.scene) as scenes
    from done
    join (select distinct card, scene, extraction from over) as seen using (card, scene, extraction)
    group by done.kind, done.card, done.what
),
of_others as (
    select
        noted.id, concat(
            'over parcels that it is compared with: ', concat_ws(' ', rtrim(events.what, ':'), events.card),
            if(len(others) > 1, concat(' (', len(others), ' scenes)'), '')
        ) as words, null::varchar[] as scenes
    from noted
    join events on events.kind in (noted.kind, 'marker')
    left join of_scenes on of_scenes.id = noted.id and of_scenes.card = events.card and of_scenes.what = events.what,
    lateral (select list_filter(events.scenes, lambda scene: not list_contains(coalesce(of_scenes.scenes, []), scene)) as others)
    where (list_contains($peers::varchar[], noted.marker) or list_contains($compared::varchar[], noted.scenario)) and len(others) > 0
),
ruled as (
    select id, 1 as place, what as words, null::varchar[] as scenes
    from noted
    join declared on declared.pid = noted.pid and (declared.kind is null or declared.kind = noted.kind)
        and (declared.scenario is null or declared.scenario = noted.scenario) and (declared.marker is null or declared.marker = noted.marker)
    union
    select id, 2, words, scenes from of_scenes
    union
    select id, 3, words, scenes from of_others
    union
    select id, 4, what, null
    from noted
    join general on (general.kind is null or general.kind = noted.kind)
        and (general.scenario is null or general.scenario = noted.scenario) and (general.marker is null or general.marker = noted.marker)
    union
    select id, if(before = 'not yet due' and (after = 'not yet due' or turned > due), 6, 5), concat('due on ', coalesce(due, turned), if(turned > due, concat(', too few clear looks by ', turned - 1), '')), null
    from noted
    join turns on turns.pid = noted.pid and turns.scenario = noted.scenario
    where noted.kind = 'light' and turned > $before::date and turned <= $day::date
),
remaining as (
    select id, place, words, scenes
    from ruled
    join noted using (id)
    qualify (
        not bool_or(words in ('new parcel', 'parcel declared no more')) over (partition by id)
        or words in ('new parcel', 'parcel declared no more')
    ) and not (
        place in (2, 3) and kind = 'light' and (
            bool_or(place = 6) over (partition by id)
            or (before is null or after is null) and bool_or(place in (1, 4)) over (partition by id)
        )
    )
),
causes as (
    select
        id, string_agg(words, '; ' order by place, words) as words,
        list_sort(list_distinct(flatten(list(scenes) filter (scenes is not null)))) as scenes
    from remaining
    group by id
)
select
    noted.* exclude (id),
    case
        when kind = 'scene' then coalesce(decided.why, concat_ws(': ', coalesce(after, 'gone'), reason))
        when causes.words is not null then causes.words
        when kind = 'light' and $day::date > $before::date then concat('the days up to ', $day::date, ' passed')
        when kind = 'light' and $day::date < $before::date then concat('judged as of ', $day::date, ' again, before as of ', $before::date)
        else 'not known'
    end as cause,
    if(kind = 'scene', [noted.scene], nullif(causes.scenes, [])) as scenes
from noted
left join causes using (id)
left join decided on decided.card = noted.card and decided.scene = noted.scene and decided.status = noted.before
    and noted.after is not null and noted.after <> noted.before
