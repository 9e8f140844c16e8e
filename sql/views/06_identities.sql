-- What tells the scenes of current_scenes from one another. A table, worked out once per snapshot.
-- sensed_from and sensed_to: of backscatter slices, whose names say when their sensing began and ended; not of their sub-swaths.
create table identities as
select
    card, id, acquisition, reference, sensor, rank, known_revision, first_revision, datastrip, produced, bbox,
    case when card = 'bs' and len(parts) = 4 then try_strptime(parts[3], '%Y%m%dT%H%M%S') end as sensed_from,
    case when card = 'bs' and len(parts) = 4 then try_strptime(parts[4], '%Y%m%dT%H%M%S') end as sensed_to
from (select *, string_split(acquisition, '/') as parts from current_scenes)
