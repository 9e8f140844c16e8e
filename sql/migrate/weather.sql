-- The days of the dump ("weather_dump", every column as it came; grid lists the cells, and says whether it is the only one
-- and all days are its), with the reason where one is refused.
with given as (
    select
        coalesce(cell, (select cell from grid where single)) as cell, coalesce(try_cast(meteo_date as date), try_cast(try_cast(meteo_date as timestamp) as date)) as day,
        try_cast(tmin as float) as tmin, try_cast(tmax as float) as tmax, try_cast(tmean as float) as tmean, try_cast(prec as float) as prec,
        concat_ws(',', cell, meteo_date, tmin, tmax, tmean, prec) as line,
        len([text for text in [tmin, tmax, tmean, prec] if try_cast(text as float) is null and text is not null]) as unread
    from weather_dump
)
select
    cell, day as meteo_date, tmin, tmax, tmean, prec, line,
    case
        when day is null then 'its meteo_date is no date'
        when cell is null or cell not in (select cell from grid) then 'its cell is not in the grid'
        when unread > 0 then 'one of its numbers cannot be read'
        when coalesce(tmin, tmax, tmean, prec) is null then 'it has no number'
        when row_number() over (partition by cell, day order by tmin, tmax, tmean, prec, line) > 1 then 'another row of the same cell and day counts'
    end as reason
from given
order by cell, meteo_date
