-- The scenes (table now) whose status or its reason differs from the recorded one (table was), and those that are gone.
select
    coalesce(now.card, was.card) as card, coalesce(now.scene, was.scene) as scene,
    was.after as before, now.status as after, now.reason
from now
full join was on was.card = now.card and was.scene = now.scene
where (now.status, now.reason) is distinct from (was.after, was.reason)
order by card, scene
