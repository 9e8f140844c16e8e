-- The rows of parcels $first to $last in the Parquet files $files, each parcel's in the order of time; those of the extractions
-- $dropped are left out. Files of version 0.1 lack columns, which are null then.
select *
from read_parquet($files, union_by_name = true)
where pid between $first and $last and extraction not in (select unnest($dropped::bigint[]))
order by pid, obstime, scene, extraction
