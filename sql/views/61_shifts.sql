-- The geolocation shift of each scene over each parcel set, as it was estimated last; see guard. east and north: metres by which the
-- scene lies off where most scenes of the season lie, error their standard error (of either); in pixels with the ending _pixels.
-- borders_…: the same against the declared borders, scenes_…: against the other scenes, frame_…: of the whole season against the borders.
create view shifts as
select
    card, scene, aoi::varchar as aoi, year::integer as year, ptype, obstime, grid, verdict, east, north, error, east / pixel as east_pixels,
    north / pixel as north_pixels, error / pixel as error_pixels, reason, method, clear, borders_east, borders_north, borders_error, borders,
    scenes_east, scenes_north, scenes_error, scenes, frame_east, frame_north, frame_error, pixel, pairs, pair_revisions, slopes, parcels, revision, measured,
    version
from measured_shifts
qualify row_number() over (
    partition by card, scene, aoi, year, ptype order by sequence desc nulls last, measured desc, verdict, reason
) = 1
