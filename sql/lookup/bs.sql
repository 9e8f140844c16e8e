-- Narrows signatures_bs, for one cursor, to the files in its variable "files_bs": a look-up opens no other.
create or replace temp view signatures_bs as from read_parquet(getvariable('files_bs'), hive_partitioning = true)
