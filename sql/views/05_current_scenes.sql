-- Of every scene the catalogue entry that counts: that of the newest product, of its latest edition, catalogued last: by the numbers
-- of the catalogue's files, whatever clocks said; entries of version 0.1, which have none, by the time, before all others. An older
-- product that comes later under the same id changes nothing. first_revision is that of the entry which was there first; entries of
-- version 0.1 have none.
create view current_scenes as
select
    *, coalesce(revision, '') as known_revision,
    min_by(coalesce(revision, ''), (coalesce(sequence, 0), ingested, coalesce(revision, ''))) over (partition by card, id) as first_revision
from ( -- by itself, so that the other assets are not read
    select *, concat(coalesce(<<card: assets.{key_band}>>) is not null, coalesce("s2:processing_baseline", '')) as rank
    from stac_scenes
)
qualify row_number() over (
    partition by card, id
    order by coalesce("s2:processing_baseline", '') desc, produced desc nulls last, updated desc nulls last,
        sequence desc nulls last, ingested desc, revision desc nulls last, reference desc, source
) = 1
