-- What became of the looks of Sentinel-2 at the parcels of $aoi, $year and $ptype (a look is one parcel in one scene), each counted once:
-- small (fewer than 8 pixels), cut (less of the parcel seen than least_share(), at the edge of a tile or swath), unknown (no pixel is
-- classified, so that no screen can decide), cloudy (more than the share $cloud, 0 to 1, of the classified pixels is in the scene classes
-- $screen) and clear.
select
    count(*) as looks, count(*) filter (why_not = 'small') as small, count(*) filter (why_not = 'cut') as cut,
    count(*) filter (why_not = 'unknown') as unknown, count(*) filter (why_not = 'cloudy') as cloudy,
    count(*) filter (usable) as clear
from observations_s2($screen::integer[], most := $cloud)
where aoi = $aoi and year = $year and ptype = $ptype
having count(*) > 0
