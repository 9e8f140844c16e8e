-- Rows without a value in each column of the table texts (row, and columns of text), or with one of the texts $nulls;
-- the columns $excepted may be empty.
select field, count(*) as count, list(row order by row) as rows
from texts unpivot include nulls (value for field in (columns(* exclude row)))
where not list_contains($excepted::varchar[], field) and (value is null or list_contains($nulls::varchar[], value))
group by field
