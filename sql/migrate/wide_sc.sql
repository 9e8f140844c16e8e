-- The band SC in "portion" as wide rows, by scene and parcel.
from (
    pivot (select pid, obsid, band, count, mean, std, min, max, p25, p50, p75 from portion where band = 'SC' and place = 1)
    on band in ('SC')
    using
        any_value(count) as count, any_value(mean) as mean, any_value(std) as std, any_value(min) as min,
        any_value(max) as max, any_value(p25) as p25, any_value(p50) as p50, any_value(p75) as p75
    group by pid, obsid
)
order by obsid, pid
