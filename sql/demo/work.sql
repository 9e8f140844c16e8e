-- Farm work on parcel $pid of the demonstration; where two crops grow, the label says which on a second line. $events is the sample's
-- events.parquet.
select
    date::timestamp as date,
    case when count(distinct crop) over () > 1 then event || chr(10) || crop else event end as label
from read_parquet($events)
where pid = $pid
order by date
