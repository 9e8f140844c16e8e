-- The extractions whose signatures make up each of those in "done"; see "lineage".
create table chain as
select * from lineage where latest in (select extraction from done)
