-- Narrows c6, for one connection, to the areas in its table "granted".
create temp view c6 as select * from memory.main.c6 where aoi in (select aoi from granted)
