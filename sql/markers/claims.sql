-- The columns $columns of the parcel files, as text, of the parcels of $aoi, $year and $ptype in the order of their pids; $pids limits them,
-- null takes all.
select columns(lambda column: list_contains($columns::varchar[], column))::varchar
from (select * from fiboa_parcels where aoi::varchar = $aoi and year = $year and ptype = $ptype order by id)
where $pids::varchar[] is null or list_contains($pids::varchar[], id)
