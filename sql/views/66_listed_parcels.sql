-- listed_parcels(the_aoi, this_year, the_ptype, listed): the parcels of a set with their declared crop, and whether it is `listed`, see is_listed_crop()
-- (is_listed; null: cannot be said, also of a crop that only words could name in a set of which no crop is named by them, nor any arable one). Each crop is judged once.
create macro listed_parcels(the_aoi, this_year, the_ptype, listed) as table
with declared as materialized (
    select pid, area_m2, crop_name, crop_code, hcat from parcels where aoi = the_aoi and year = this_year and ptype = the_ptype
),
crops as (
    select *, bool_or(is_listed_crop(listed, null, crop_name, null) or is_named_arable(crop_name)) over () as spoken
    from (select distinct crop_name, crop_code, hcat from declared)
),
judged as materialized (
    select crop_name, crop_code, hcat, is_spoken_crop(listed, hcat, crop_name, crop_code, spoken) as is_listed from crops
)
select declared.*, is_listed
from declared
join judged
    on judged.crop_name is not distinct from declared.crop_name and judged.crop_code is not distinct from declared.crop_code
    and judged.hcat is not distinct from declared.hcat
