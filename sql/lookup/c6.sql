-- Narrows signatures_c6, for one cursor, to the files in its variable "files_c6": a look-up opens no other. Files of version 0.1
-- have no column share.
create or replace temp view signatures_c6 as
from read_parquet(getvariable('files_c6'), hive_partitioning = true, union_by_name = true)
union all by name
select null::float as share where false
