-- Rows of each column of the table areas (row, and columns of numbers) that hold no number, or one that changes when it
-- is rounded to 4 decimals; a number may be infinite.
select field, list(row order by row) as rows, list(coalesce(value::varchar, 'no number') order by row) as details
from areas unpivot include nulls (value for field in (columns(* exclude row)))
where value is null or isfinite(value) and value <> round(value, 4)
group by field
