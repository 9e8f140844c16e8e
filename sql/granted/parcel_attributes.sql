-- Narrows parcel_attributes, for one connection, to the areas in its table "granted".
create temp view parcel_attributes as select * from memory.main.parcel_attributes where aoi in (select aoi from granted)
