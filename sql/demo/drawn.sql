-- NDVI as drawn of parcel $pid of the demonstration by time, as if there were no clouds; $truth is the sample's truth.parquet.
select obstime, ndvi
from read_parquet($truth)
where pid = $pid and ndvi is not null
order by obstime
