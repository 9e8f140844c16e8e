-- What the last crop check says of parcel $pid of $aoi, $year, $ptype, and what it promised: its verdict with all that the view crop_checks
-- has of it; of the run the promised share (alpha), settings, snapshot and libraries (JSON), when it was made, and by which cbm-lake; and of
-- how many parcels of the set it judged how many disagree, and of how many it cannot say. No row where the parcel was not checked.
with said as (
    select * exclude (aoi, year, ptype)
    from crop_checks
    where aoi = $aoi and year = $year and ptype = $ptype
)
select
    said.* exclude (pid, run, version), said.version as parcels_version, made.alpha, sums.judged, sums.accused, sums.undecided,
    said.run, made.settings, made.snapshot, made.libraries, made.checked, made.cbm_lake
from said
left join crop_runs as made using (run),
(
    select
        count(*) as judged, count(*) filter (verdict = 'disagrees') as accused,
        count(*) filter (verdict not in ('agrees', 'disagrees')) as undecided
    from said
) as sums
where said.pid = $pid
