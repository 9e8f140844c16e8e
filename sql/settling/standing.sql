-- Which rows the Parquet files $files have, by extraction, parcel and mask ("" where that is null), of the extractions $extractions.
select distinct extraction, pid, coalesce(mask, '') as mask
from (
    from read_parquet($files, union_by_name = true)
    union all by name
    select null::varchar as mask where false -- files of earlier versions have no such column
)
where extraction in (select unnest($extractions::bigint[]))
