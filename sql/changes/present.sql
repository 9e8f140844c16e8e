-- The present state of everything of one kind ($kind: light, marker or scene) of the parcel set $aoi, $year and $ptype, as the
-- changes add up to it: of each thing its last change.
select *
from changes
where aoi = $aoi and year = $year and ptype = $ptype and kind = $kind
qualify row_number() over (partition by pid, scenario, marker, number, card, scene order by sequence desc) = 1 and after is not null
order by pid, scenario, marker, number, card, scene
