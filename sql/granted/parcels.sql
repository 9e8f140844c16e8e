-- Narrows parcels, for one connection, to the areas in its table "granted".
create temp view parcels as select * from memory.main.parcels where aoi in (select aoi from granted)
