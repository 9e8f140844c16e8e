-- Narrows c6_long, for one connection, to the areas in its table "granted".
create temp view c6_long as select * from memory.main.c6_long where aoi in (select aoi from granted)
