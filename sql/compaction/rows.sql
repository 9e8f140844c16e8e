-- The rows of parcels $first to $last in the Parquet files $files, each parcel's in the order of time; those of the extractions
-- $dropped are left out.
select *
from read_parquet($files)
where pid between $first and $last and extraction not in (select unnest($dropped::bigint[]))
order by pid, obstime, scene, extraction
