-- Narrows s2, for one connection, to the areas in its table "granted".
create temp view s2 as select * from memory.main.s2 where aoi in (select aoi from granted)
