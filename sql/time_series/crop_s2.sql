-- Mean and standard deviation (over parcels, population) of a band's mean on every day, over the parcels of $crop (name, or code
-- where there is none) of $aoi, $year and $ptype but parcel $without: of card s2 those of at least 8 pixels none of which is in the scene
-- classes $screen, each of the $bands by its name.
select obstime::date as day, band, avg(mean)::double as mean, stddev_pop(mean)::double as std, count(distinct pid) as parcels
from s2_long
join parcels using (aoi, year, ptype, pid)
where aoi = $aoi and year = $year and ptype = $ptype and pid <> $without and coalesce(crop_name, crop_code) = $crop
    and list_contains($bands::varchar[], band) and count >= 8 and share_of(scl, $screen::integer[]) = 0
group by all
order by all
