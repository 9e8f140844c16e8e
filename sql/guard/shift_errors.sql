-- By how much the NDVI of each parcel of $aoi, $year and $ptype is off in each look, as far as the scene's shift goes: the parcel's pixels,
-- the shift in metres that is left in its row (that of the scene, less what its pixels were moved) with its standard error,
-- and NDVI per metre (median, and 90 % quantile over parcels of its size in that scene) x the root of both squares. Null where the
-- shift is undecided.
with looks as (
    select
        pid, scene, obstime, B04_count as pixels,
        try_cast(regexp_extract(rule, ', moved (\S+) (\S+) m', 1) as double) as east_moved,
        try_cast(regexp_extract(rule, ', moved (\S+) (\S+) m', 2) as double) as north_moved
    from s2
    where aoi = $aoi and year = $year and ptype = $ptype and B04_count > 0
),
measured as (
    select scene, verdict, east, north, error, slopes from shifts where card = 's2' and aoi = $aoi and year = $year and ptype = $ptype
),
sized as (
    select
        looks.*, verdict, error,
        sqrt((east - coalesce(east_moved, 0)) ** 2 + (north - coalesce(north_moved, 0)) ** 2) as shift,
        list_filter(slopes, lambda slope: pixels >= slope.fewest and pixels <= coalesce(slope.most, pixels))[1] as slope
    from looks
    left join measured using (scene)
)
select
    pid, scene, obstime, pixels, verdict, shift, error,
    if(verdict in ('ok', 'shifted'), slope.median * sqrt(shift ** 2 + error ** 2), null) as ndvi_error,
    if(verdict in ('ok', 'shifted'), slope.p90 * sqrt(shift ** 2 + error ** 2), null) as ndvi_error_p90
from sized
order by obstime, scene, pid
