-- The staged histograms in "staged_rows" that belong to portion $bucket; place is 1 for the row that counts of those of one parcel
-- and scene: the one of most pixels.
select
    * exclude (reason, bucket),
    row_number() over (partition by obsid, pid order by list_sum(classes) desc, classes) as place
from staged_rows
where bucket = $bucket
