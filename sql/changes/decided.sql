-- What people last decided about scenes that are not left out or suspect any more: of the status that it ended, and why.
select card, scene, 'left out' as status, concat('put back: ', why, ' (', who, ')') as why
from exclusions
qualify row_number() over (partition by card, scene order by sequence desc nulls last, decided desc, status, who, why) = 1 and exclusions.status = 'put back'
union all
select card, scene, 'suspect', concat('cleared: ', reason)
from suspects
qualify row_number() over (partition by card, scene order by sequence desc nulls last, found desc, status, reason) = 1 and suspects.status = 'cleared'
order by card, scene, status
