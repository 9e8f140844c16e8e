-- peers_in_group(of_aoi, of_year, of_ptype, of_group, without, east, north, most): the parcels of a set that declare a crop of the group
-- `of_group` by the last crop check, but parcel `without` and those that the check accuses: the `most` whose centroids are nearest to east,
-- north (degrees); others: how many there are.
create macro peers_in_group(of_aoi, of_year, of_ptype, of_group, without, east, north, most) as table
select pid, count(*) over () as others
from parcels
where aoi = of_aoi and year = of_year and ptype = of_ptype and pid <> without and pid in (
    select pid from crop_checks
    where aoi = of_aoi and year = of_year and ptype = of_ptype and crop_group = of_group and verdict <> 'disagrees'
)
order by ((centroid_lon - east) * cos(radians(north))) ** 2 + (centroid_lat - north) ** 2 nulls last, pid
limit most
