-- Mean and standard deviation (over parcels, population) of a band's mean DN on every day, over the parcels of $crop (name, or code
-- where there is none) of $aoi, $year and $ptype but parcel $without: usable looks, when the scene classes $screen are
-- screened, each of the $bands. Of a parcel that several scenes saw on a day their mean counts.
select day, band, avg(value)::double as mean, stddev_pop(value)::double as std, count(*) as parcels
from (
    select pid, obstime::date as day, band, avg(mean) as value
    from (
        select aoi, year, ptype, pid, obstime, unnest([<<band: {'band': '{band}', 'mean': {band}_mean}>>], recursive := true)
        from observed_{card}($screen::integer[])
        where aoi = $aoi and year = $year and ptype = $ptype and is_usable(observable, unknown, clouded)
    )
    join parcels using (aoi, year, ptype, pid)
    where pid <> $without and coalesce(nullif(crop_name, ''), crop_code) = $crop
        and list_contains($bands::varchar[], band) and mean is not null
    group by all
)
group by all
order by all
