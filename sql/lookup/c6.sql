-- Narrows signatures_c6, for one cursor, to the files in its variable "files_c6": a look-up opens no other. Columns that these
-- files lack, since an earlier version wrote them, are null, as in the view of all files.
create or replace temp view signatures_c6 as
from read_parquet(getvariable('files_c6'), hive_partitioning = true, union_by_name = true)
union all by name
from no_signatures_c6
