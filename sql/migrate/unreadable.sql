-- The lines of the CSV files of table $name that have not the fields of the header, as they go into the list of what is refused. Tables:
-- reject_errors and reject_scans, which DuckDB makes while it reads.
select $name as "table", csv_line as line, 'it has not the fields of the header' as reason
from reject_errors
join reject_scans using (scan_id, file_id)
group by file_path, line, csv_line
