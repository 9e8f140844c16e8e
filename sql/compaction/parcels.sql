-- How many rows each parcel has in the Parquet files $files, in the order of pids; rows of the extractions $dropped do not count.
select pid, count(*) as rows
from read_parquet($files)
where extraction not in (select unnest($dropped::bigint[]))
group by pid
order by pid
