-- What the scenes of one day, $date, saw in band $band (B04, …) of every parcel of $aoi, $year and $ptype: its mean DN and the share of the parcel
-- that was seen, in the order of pids.
-- Only the columns of that band are read.
select pid, obstime, mean, share, scene
from (
    select pid, obstime, scene, share, case $band
        when 'B02' then B02_mean when 'B03' then B03_mean when 'B04' then B04_mean when 'B05' then B05_mean
        when 'B06' then B06_mean when 'B07' then B07_mean when 'B08' then B08_mean when 'B8A' then B8A_mean
        when 'B11' then B11_mean when 'B12' then B12_mean
    end as mean
    from s2
    where aoi = $aoi and year = $year and ptype = $ptype
        and obstime >= $date::date::timestamptz and obstime < ($date::date + 1)::timestamptz
)
where mean is not null
order by pid, obstime
