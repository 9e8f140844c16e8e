-- Of the rows of the Parquet file $file, in their order: whether each counts as a signature of $card, and whether it is lost, that is
-- cannot count again, being of one of the extractions $dropped.
select counts is not null and gone is null as counted, extraction in (select unnest($dropped::bigint[])) as lost
from read_parquet($file, file_row_number = true)
left join (select extraction as counts, outlines from counting where card = $card) on counts = extraction
left join (select distinct outlines, pid, true as gone from outdated) as outdated using (outlines, pid)
order by file_row_number
