-- What tells the scenes of current_scenes from one another. A table, worked out once per snapshot.
-- sensed_from and sensed_to: of backscatter slices, whose names say when their sensing began and ended.
create table identities as
select
    card, id, acquisition, reference, sensor, rank, known_revision, first_revision, datastrip, produced, bbox,
    case when card = 'bs' then try_strptime(split_part(acquisition, '/', 3), '%Y%m%dT%H%M%S') end as sensed_from,
    case when card = 'bs' then try_strptime(split_part(acquisition, '/', 4), '%Y%m%dT%H%M%S') end as sensed_to
from current_scenes
