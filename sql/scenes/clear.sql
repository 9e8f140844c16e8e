-- Sentinel-2 scenes over the parcels of $aoi and $year: how many parcels were seen (at least 8 pixels, and enough of the parcel), how many
-- of them have no pixel in the scene classes $screen (usually 3, 8, 9, 10, 11), how many have, of how many that is unknown since no pixel
-- is classified, and how much the clear ones differ in NDVI; the clearest and most varied first.
select
    scene, any_value(obstime) as obstime, count(*) as parcels, count(*) filter (sky = 'clear') as clear,
    stddev_pop(value) filter (sky = 'clear') as spread, count(*) filter (sky = 'cloudy') as cloudy,
    count(*) filter (sky = 'unknown') as unknown
from (
    select scene, obstime, ndvi(B04_mean, B08_mean) as value, sky_of(scl, $screen::integer[]) as sky
    from s2
    where aoi = $aoi and year = $year and observable
)
group by scene
order by clear desc, spread desc
