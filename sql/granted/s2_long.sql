-- Narrows s2_long, for one connection, to the areas in its table "granted".
create temp view s2_long as select * from memory.main.s2_long where aoi in (select aoi from granted)
