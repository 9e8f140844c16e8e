-- Narrows signatures_{card}, for one cursor, to the files in its variable "files_{card}": a look-up opens no other. Columns that these
-- files lack, since an earlier version wrote them, are null, as in the view of all files.
create or replace temp view signatures_{card} as
from read_parquet(getvariable('files_{card}'), hive_partitioning = true, union_by_name = true)
union all by name
from no_signatures_{card}
