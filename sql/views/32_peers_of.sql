-- peers_of(of_aoi, of_year, of_ptype, of_crop, without, east, north, most): the parcels of the crop `of_crop` (name, or code where there is
-- none) of a parcel set but parcel `without`: the `most` whose centroids are nearest to east, north (degrees); others: how many there are.
create macro peers_of(of_aoi, of_year, of_ptype, of_crop, without, east, north, most) as table
select pid, count(*) over () as others
from parcels
where aoi = of_aoi and year = of_year and ptype = of_ptype and coalesce(nullif(crop_name, ''), crop_code) = of_crop and pid <> without
-- a degree of longitude is as long as one of latitude times the cosine of the latitude
order by ((centroid_lon - east) * cos(radians(north))) ** 2 + (centroid_lat - north) ** 2 nulls last, pid
limit most
