-- The signatures of card {card} in "portion" as wide rows, by scene and parcel.
from (
    pivot (select pid, obsid, band, <<statistic: {statistic}>> from portion where card = '{card}' and place = 1)
    on band in (<<band: '{band}'>>)
    using <<statistic: any_value({statistic}) as {statistic}>>
    group by pid, obsid
)
order by obsid, pid
