-- What the parcels of $aoi, $year_before and $ptype_before became in $year and $ptype, a row per pair and per new or gone parcel, by pid
-- and pid_before; $pids limits it to rows of later or earlier parcels of these identifiers, null takes all.
select *
from lineage
where aoi = $aoi and year = $year and ptype = $ptype and year_before = $year_before and ptype_before = $ptype_before
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid) or list_contains($pids::varchar[], pid_before))
order by pid nulls last, pid_before nulls last
