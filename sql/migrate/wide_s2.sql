-- The signatures of card s2 in "portion" as wide rows, with the pixels of each scene class in "portion_hists", by scene and parcel.
select * exclude (classes), classes[1] as scl_0, classes[2] as scl_1, classes[3] as scl_2, classes[4] as scl_3, classes[5] as scl_4, classes[6] as scl_5,
    classes[7] as scl_6, classes[8] as scl_7, classes[9] as scl_8, classes[10] as scl_9, classes[11] as scl_10, classes[12] as scl_11
from (
    pivot (select pid, obsid, band, count, mean, std, min, max, p25, p50, p75 from portion where card = 's2' and place = 1)
    on band in ('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12')
    using
        any_value(count) as count, any_value(mean) as mean, any_value(std) as std, any_value(min) as min,
        any_value(max) as max, any_value(p25) as p25, any_value(p50) as p50, any_value(p75) as p75
    group by pid, obsid
)
full join (select pid, obsid, classes from portion_hists where place = 1) using (pid, obsid)
order by obsid, pid
