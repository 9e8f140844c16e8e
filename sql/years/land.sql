-- The land of the parcels of $aoi, $year and $ptype in the $years - 1 years before: each earlier parcel on it with its crop, the shared area, and whether its
-- crop counts: one of the list $listed, or, where that is null, the same as now by the first $digits of HCAT, by name or by code. $pids limits the
-- parcels, null takes all.
select *
from land_of_crops($aoi, $year::integer, $ptype, $years::integer, $listed::varchar[], $digits::integer)
where $pids::varchar[] is null or list_contains($pids::varchar[], pid)
order by pid, year_before desc, shared_m2 desc, pid_before
