-- The crop checks that were made: what each promised (alpha), by which model, seed and data, with which figures. Those of a greater sequence
-- are later, whatever clocks said.
create view crop_runs as
select
    run, aoi, year::integer as year, ptype, version, day, alpha, settings, snapshot, libraries, figures, checked, cbm_lake, sequence
from checks_of_crops
