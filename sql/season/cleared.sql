-- The scenes that the guard once marked and a person cleared since, with the reason that was given.
select card, scene, reason
from suspects
qualify row_number() over (partition by card, scene order by sequence desc nulls last, found desc, status, reason) = 1 and status = 'cleared'
order by card, scene
