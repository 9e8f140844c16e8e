-- Mean and standard deviation (over parcels, population) of the {measure} of a polarisation on every day, over the parcels of
-- $crop (name, or code where there is none) of $aoi, $year and $ptype but parcel $without that are observable, each of the $bands.
-- Of a parcel that several scenes saw on a day their mean counts.
select day, band, avg(value)::double as mean, stddev_pop(value)::double as std, count(*) as parcels
from (
    select pid, obstime::date as day, band, avg(mean) as value
    from {card}_long
    semi join (select aoi, year, ptype, pid, scene as obsid from {card} where observable) using (aoi, year, ptype, pid, obsid)
    join parcels using (aoi, year, ptype, pid)
    where aoi = $aoi and year = $year and ptype = $ptype and pid <> $without
        and coalesce(nullif(crop_name, ''), crop_code) = $crop and list_contains($bands::varchar[], band)
    group by all
)
group by all
order by all
