-- The scenes of the dump ("catalogue", every column as it came) in the order of their numbers; number and moment are null where they
-- cannot be read.
select
    id, if(try_cast(id as double) % 1 = 0, coalesce(try_cast(id as bigint), try_cast(try_cast(id as double) as bigint)), null) as number,
    try_cast(obstime as timestamptz) as moment, reference, card, sensor, footprint
from catalogue
order by number, reference
