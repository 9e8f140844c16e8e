-- The extractions whose signatures count; outlines names the version of the parcel set whose outlines they were taken in.
create table counting as
select distinct card, extraction, aoi, year, ptype, parcels, hash(aoi, year, ptype, parcels) as outlines
from chain
where (card, scene, aoi, year, ptype) not in (from superseded) and (card, scene) not in (select card, scene from suspected)
    and (card, scene) not in (select card, scene from left_out)
