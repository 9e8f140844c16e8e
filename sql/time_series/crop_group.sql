-- Mean and standard deviation (over parcels, population) of the index $index (ndvi, ndwi, …: a column of the view observations) on every
-- day, over the parcels of $aoi, $year and $ptype but parcel $without that declare a crop of the group $group, by the last crop check:
-- usable looks, when the scene classes $screen are screened. Parcels that the check accuses are left out. Of a parcel that several scenes
-- saw on a day their mean counts.
select day, avg(value)::double as mean, stddev_pop(value)::double as std, count(*) as parcels
from (
    select pid, obstime::date as day, avg(value) as value
    from observations_s2($screen::integer[], name := $index)
    join crop_checks using (aoi, year, ptype, pid)
    where aoi = $aoi and year = $year and ptype = $ptype and pid <> $without
        and crop_group = $group and verdict <> 'disagrees' and usable and value is not null
    group by all
)
group by all
order by all
