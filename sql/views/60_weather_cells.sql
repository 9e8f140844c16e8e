-- The cells of the weather grid of each area, with their boxes in degrees (west and south inside, east and north outside).
create view weather_cells as
select aoi, cell, west, south, east, north
from weather_boxes
qualify row_number() over (partition by aoi, cell order by sequence desc nulls last, loaded desc, part) = 1
