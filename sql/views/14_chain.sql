-- The extractions whose signatures make up each of those in "done"; see "extraction_lineage".
create table chain as
select * from extraction_lineage where latest in (select extraction from done)
