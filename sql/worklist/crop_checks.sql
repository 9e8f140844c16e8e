-- What the last crop check of $aoi, $year and $ptype says of each parcel: crop_check (its verdict), and crop_rank among the doubtful ones.
select pid, verdict as crop_check, rank as crop_rank
from crop_checks
where aoi = $aoi and year = $year and ptype = $ptype
order by pid
