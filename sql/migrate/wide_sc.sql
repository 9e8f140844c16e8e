-- The band SC in "portion" as wide rows, by scene and parcel.
from (
    pivot (select pid, obsid, band, <<statistic: {statistic}>> from portion where band = 'SC' and place = 1)
    on band in ('SC')
    using <<statistic: any_value({statistic}) as {statistic}>>
    group by pid, obsid
)
order by obsid, pid
