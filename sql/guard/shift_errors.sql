-- By how much the NDVI of each parcel of $aoi, $year and $ptype is off in each look, as far as the scene's shift goes: the parcel's pixels,
-- the shift in metres that is left in its row (that of the scene, or none where its pixels were moved with it) with its standard error,
-- and NDVI per metre (median, and 90 % quantile over parcels of its size in that scene) x the root of both squares. Null where the
-- shift is undecided.
with looks as (
    select pid, scene, obstime, rule, B04_count as pixels from s2 where aoi = $aoi and year = $year and ptype = $ptype and B04_count > 0
),
measured as (
    select scene, verdict, east, north, error, slopes from shifts where card = 's2' and aoi = $aoi and year = $year and ptype = $ptype
),
sized as (
    select
        looks.*, verdict, error,
        if(contains(rule, ', moved '), 0, sqrt(east ** 2 + north ** 2)) as shift,
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
