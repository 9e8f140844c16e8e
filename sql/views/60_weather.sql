-- The weather of each grid cell and day: tmin, tmax, tmean in degrees Celsius, prec in mm; of each, what was loaded last. A parcel's
-- weather is that of the cell whose box (see weather_cells) holds its centroid.
create view weather as
select
    aoi::varchar as aoi, cell, meteo_date,
    arg_max(tmin, (coalesce(sequence, 0), loaded, part)) as tmin, arg_max(tmax, (coalesce(sequence, 0), loaded, part)) as tmax,
    arg_max(tmean, (coalesce(sequence, 0), loaded, part)) as tmean, arg_max(prec, (coalesce(sequence, 0), loaded, part)) as prec
from weather_days
group by all
