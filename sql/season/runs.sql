-- The identifiers of all runs, the last one first.
select run
from runs
group by run
order by max(sequence) desc, run desc
