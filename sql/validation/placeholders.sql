-- Rows of each column of the table texts (row, and columns of text) whose text only looks like a value: blanks, hyphens,
-- infinity. The texts $nulls are found by another question.
select field, list(row order by row) as rows, list(value order by row) as details
from (unpivot texts on columns(* exclude row) into name field value value)
where regexp_matches(value, '^\s+$|^\s*-+\s*$')
    or (lower(value) in ('inf', '-inf') and not list_contains($nulls::varchar[], value))
group by field
