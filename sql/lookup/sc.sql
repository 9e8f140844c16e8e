-- Narrows signatures_sc, for one cursor, to the files in its variable "files": a look-up opens no other.
create or replace temp view signatures_sc as from read_parquet(getvariable('files'), hive_partitioning = true)
