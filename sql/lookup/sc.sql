-- Narrows signatures_sc, for one cursor, to the files in its variable "files_sc": a look-up opens no other.
create or replace temp view signatures_sc as from read_parquet(getvariable('files_sc'), hive_partitioning = true)
