-- The daily weather of $aoi at a place ($lon, $lat, in degrees): that of the grid cell whose box holds it, by date (text, YYYY-MM-DD).
select strftime(meteo_date, '%Y-%m-%d') as meteo_date, tmin, tmax, tmean, prec
from weather
where aoi = $aoi and cell = (
    select min(cell)
    from weather_cells
    where aoi = $aoi and $lon >= west and $lon < east and $lat >= south and $lat < north
)
order by meteo_date
