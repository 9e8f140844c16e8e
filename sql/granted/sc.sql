-- Narrows sc, for one connection, to the areas in its table "granted".
create temp view sc as select * from memory.main.sc where aoi in (select aoi from granted)
