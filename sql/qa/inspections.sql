-- All verdicts that were given on the sample $sample_id, oldest first.
from inspections where sample_id = $sample_id 
order by sequence nulls first, inspected, pid, holding_id, bucket_id, verdict, inspector, note
