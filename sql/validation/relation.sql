-- Values of the table claimed (row, value) that the table known (value) does not have, with the first row and the number
-- of rows of each; a missing value is a value too.
select value, min(row) as row, count(*) as times
from claimed
where not exists (select 1 from known where known.value is not distinct from claimed.value)
group by value
order by row
