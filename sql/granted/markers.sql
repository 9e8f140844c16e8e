-- Narrows markers, for one connection, to the areas in its table "granted".
create temp view markers as select * from memory.main.markers where aoi in (select aoi from granted)
