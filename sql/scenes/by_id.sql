-- The scene $scene of $card with its rasters.
select id, obstime, reference, card, processing_baseline, boa_offset, cloud_cover, footprint, assets, revision
from scenes
where card = $card and id = $scene
