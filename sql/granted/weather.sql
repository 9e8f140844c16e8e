-- Narrows weather, for one connection, to the areas in its table "granted".
create temp view weather as select * from memory.main.weather where aoi in (select aoi from granted)
