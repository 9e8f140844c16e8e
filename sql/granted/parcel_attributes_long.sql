-- Narrows parcel_attributes_long, for one connection, to the areas in its table "granted".
create temp view parcel_attributes_long as select * from memory.main.parcel_attributes_long where aoi in (select aoi from granted)
