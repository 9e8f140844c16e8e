-- Mean and standard deviation (over parcels, population) of a normalised difference on every day, over the parcels of $crop (name,
-- or code where there is none) of $aoi, $year and $ptype but parcel $without: usable looks, when the scene classes $screen are
-- screened. The index is (plus - minus) / (plus + minus) of the mean DN of the bands $plus and the bands $minus.
-- Of a parcel that several scenes saw on a day their mean counts.
with looks as (
    select
        pid, obstime::date as day, obsid,
        sum(mean) filter (where list_contains($plus::varchar[], band)) as added,
        sum(mean) filter (where list_contains($minus::varchar[], band)) as subtracted,
        (added - subtracted) / nullif(added + subtracted, 0) as value
    from (
        select aoi, year, ptype, pid, scene as obsid, obstime, unnest([
            {'band': 'B02', 'mean': B02_mean}, {'band': 'B03', 'mean': B03_mean}, {'band': 'B04', 'mean': B04_mean},
            {'band': 'B05', 'mean': B05_mean}, {'band': 'B06', 'mean': B06_mean}, {'band': 'B07', 'mean': B07_mean},
            {'band': 'B08', 'mean': B08_mean}, {'band': 'B8A', 'mean': B8A_mean}, {'band': 'B11', 'mean': B11_mean},
            {'band': 'B12', 'mean': B12_mean}
        ], recursive := true)
        from observed_s2($screen::integer[])
        where aoi = $aoi and year = $year and ptype = $ptype and is_usable(observable, unknown, clouded)
    )
    join parcels using (aoi, year, ptype, pid)
    where pid <> $without and coalesce(nullif(crop_name, ''), crop_code) = $crop and mean is not null
        and list_contains($plus::varchar[] || $minus::varchar[], band)
    group by all
    having count(*) = len($plus::varchar[]) + len($minus::varchar[])
)
select day, 'index' as band, avg(value)::double as mean, stddev_pop(value)::double as std, count(*) as parcels
from (select pid, day, avg(value) as value from looks where value is not null group by all)
group by all
order by all
