-- The staged signatures in "staged_rows" that belong to portion $bucket; place is 1 for the row that counts of those of one parcel,
-- scene and band: the one of most pixels.
select
    * exclude (reason, bucket),
    row_number() over (partition by obsid, pid, band order by count desc, mean, std, min, max, p25, p50, p75) as place
from staged_rows
where bucket = $bucket
