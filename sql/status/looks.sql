-- What became of the looks of Sentinel-2 at the parcels of $aoi, $year and $ptype (a look is one parcel in one scene), each counted once:
-- small (fewer than 8 pixels), cut (less of the parcel seen than least_share(), at the edge of a tile or swath), unknown (no pixel is
-- classified, so that no screen can decide), cloudy (more than the share $cloud, 0 to 1, of the classified pixels is in the scene classes
-- $screen) and clear.
select
    count(*) as looks, count(*) filter (fate = 'small') as small, count(*) filter (fate = 'cut') as cut,
    count(*) filter (fate = 'unknown') as unknown, count(*) filter (fate = 'cloudy') as cloudy, count(*) filter (fate = 'clear') as clear
from (
    select
        case when not is_observable(pixels, null) then 'small' when not is_seen(share) then 'cut'
        else sky_of(scl, $screen::integer[], $cloud) end as fate
    from (
        select
            share, scl, greatest(
                B02_count, B03_count, B04_count, B05_count, B06_count, B07_count, B08_count, B8A_count, B11_count, B12_count
            ) as pixels
        from s2
        where aoi = $aoi and year = $year and ptype = $ptype
    )
)
having count(*) > 0
