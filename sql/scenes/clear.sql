-- Sentinel-2 scenes over the parcels of $aoi and $year: how many parcels were seen (at least 8 pixels, and enough of the parcel), how many
-- of them have no pixel in the scene classes $screen (usually 3, 8, 9, 10, 11), how many have, of how many that is unknown since no pixel
-- is classified, and how much the clear ones differ in NDVI; the clearest and most varied first.
select
    scene, any_value(obstime) as obstime, count(*) as parcels, count(*) filter (usable) as clear,
    stddev_pop(ndvi) filter (usable) as spread, count(*) filter (clouded) as cloudy,
    count(*) filter (unknown) as unknown
from observations_s2($screen::integer[])
where aoi = $aoi and year = $year and observable
group by scene
order by clear desc, spread desc
