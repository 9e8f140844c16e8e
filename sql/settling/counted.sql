-- How many rows of $card each of the Parquet files $files has, and how many of them count.
select filename as path, count(*) as total, count(*) filter (counts is not null and gone is null) as counted
from read_parquet($files, filename = true, union_by_name = true)
left join (select extraction as counts, outlines from counting where card = $card) on counts = extraction
left join (select distinct outlines, pid, true as gone from outdated) as outdated using (outlines, pid)
group by filename
