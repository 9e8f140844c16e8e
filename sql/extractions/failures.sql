-- Why attempts at scenes of $card over the parcel set $aoi, $year, $ptype failed since each was last done.
select scene, problem
from ledger
left join (
    select scene, max(attempt) as latest
    from ledger
    where card = $card and aoi = $aoi and year = $year and ptype = $ptype and status = 'done'
    group by scene
) as done using (scene)
where card = $card and aoi = $aoi and year = $year and ptype = $ptype and status = 'failed' and attempt > coalesce(latest, 0)
group by all
order by all
