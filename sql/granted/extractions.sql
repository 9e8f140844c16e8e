-- Narrows extractions, for one connection, to the areas in its table "granted".
create temp view extractions as select * from memory.main.extractions where aoi in (select aoi from granted)
