-- Mean and standard deviation (over parcels, population) of a band's mean on every day, over the parcels of $crop (name, or code
-- where there is none) of $aoi, $year and $ptype but parcel $without: of card s2 those that are observable and none of whose pixels is in the scene
-- classes $screen, each of the $bands by its name.
select obstime::date as day, band, avg(mean)::double as mean, stddev_pop(mean)::double as std, count(distinct pid) as parcels
from s2_long
semi join (select aoi, year, ptype, pid, scene as obsid from s2 where observable) using (aoi, year, ptype, pid, obsid)
join parcels using (aoi, year, ptype, pid)
where aoi = $aoi and year = $year and ptype = $ptype and pid <> $without and coalesce(crop_name, crop_code) = $crop
    and list_contains($bands::varchar[], band) and sky_of(scl, $screen::integer[]) = 'clear'
group by all
order by all
