-- The daily weather of $aoi at a place ($lon, $lat, in degrees): that of the grid cell whose box holds it, by date (text, YYYY-MM-DD). Where
-- cells of several grids hold it, each number is that of the smallest cell that has it.
with here as (
    select cell, (east - west) * (north - south) as size
    from weather_cells
    where aoi = $aoi and $lon >= west and $lon < east and $lat >= south and $lat < north
)
select
    strftime(meteo_date, '%Y-%m-%d') as meteo_date,
    first(tmin order by size, cell) filter (where tmin is not null) as tmin,
    first(tmax order by size, cell) filter (where tmax is not null) as tmax,
    first(tmean order by size, cell) filter (where tmean is not null) as tmean,
    first(prec order by size, cell) filter (where prec is not null) as prec
from weather
join here using (cell)
where aoi = $aoi
group by all
order by 1
