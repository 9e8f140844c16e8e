-- Narrows bs_long, for one connection, to the areas in its table "granted".
create temp view bs_long as select * from memory.main.bs_long where aoi in (select aoi from granted)
