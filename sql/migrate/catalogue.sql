-- The scenes of the dump ("catalogue", every column as it came) in the order of their numbers; number and moment are null where they
-- cannot be read.
select
    id, whole_number(id) as number,
    try_cast(obstime as timestamptz) as moment, reference, card, sensor, footprint
from catalogue
order by number, reference
