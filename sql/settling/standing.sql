-- Which rows the Parquet files $files have, by extraction and parcel, of the extractions $extractions.
select distinct extraction, pid
from read_parquet($files, union_by_name = true)
where extraction in (select unnest($extractions::bigint[]))
