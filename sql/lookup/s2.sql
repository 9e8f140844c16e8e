-- Narrows signatures_s2, for one cursor, to the files in its variable "files_s2": a look-up opens no other. Files of version 0.1
-- have no column share.
create or replace temp view signatures_s2 as
from read_parquet(getvariable('files_s2'), hive_partitioning = true, union_by_name = true)
union all by name
select null::float as share where false
