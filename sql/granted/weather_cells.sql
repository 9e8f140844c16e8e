-- Narrows weather_cells, for one connection, to the areas in its table "granted".
create temp view weather_cells as select * from memory.main.weather_cells where aoi in (select aoi from granted)
