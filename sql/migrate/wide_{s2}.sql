-- The signatures of card {card} in "portion" as wide rows, with the pixels of each scene class in "portion_hists", by scene and parcel.
select * exclude (classes), <<class: classes[{place}] as {classes}_{class}>>
from (
    pivot (select pid, obsid, band, <<statistic: {statistic}>> from portion where card = '{card}' and place = 1)
    on band in (<<band: '{band}'>>)
    using <<statistic: any_value({statistic}) as {statistic}>>
    group by pid, obsid
)
full join (select pid, obsid, classes from portion_hists where place = 1) using (pid, obsid)
order by obsid, pid
