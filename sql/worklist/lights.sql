-- The lights of $aoi, $year and $ptype that nights recorded, as they are now, in the scenario $scenario or, where that is null, in all of
-- them: colour, reason, due (when it is judged finally), and changed, when the present state was recorded.
select pid, scenario, after as colour, reason, due, recorded as changed
from changes
where aoi = $aoi and year = $year and ptype = $ptype and kind = 'light' and ($scenario::varchar is null or scenario = $scenario)
qualify row_number() over (partition by pid, scenario order by sequence desc) = 1 and after is not null
order by pid, scenario
