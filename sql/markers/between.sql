-- When mowing, ploughing and harvest were found on the parcels $pids of $aoi, $year and $ptype, by parcel and date.
select pid, marker, date_start, date_main, date_end
from markers
where aoi = $aoi and year = $year and ptype = $ptype and list_contains($pids::varchar[], pid)
    and marker in ('mowing', 'ploughing', 'harvest') and date_start is not null and date_end is not null
order by pid, date_start, marker
