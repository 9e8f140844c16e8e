-- What each scene's catalogue entry in force says about the product, which decides whether a further entry is another revision.
select
    card, id, reference, "s2:processing_baseline" as processing_baseline, boa_offset, assets, datastrip, produced, updated, revision
from current_scenes
