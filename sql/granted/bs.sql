-- Narrows bs, for one connection, to the areas in its table "granted".
create temp view bs as select * from memory.main.bs where aoi in (select aoi from granted)
