-- When $who last decided on a parcel of $aoi, $year and $ptype: one row; null where nothing that they decided stands.
select max(decided) as decided
from judgements
where aoi = $aoi and year = $year and ptype = $ptype and who = $who
