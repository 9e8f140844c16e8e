-- The scenes (card/id) that somebody tried to extract over parcels of the areas $aois.
select distinct concat(card, '/', scene) as scene from ledger where aoi in (select unnest($aois::varchar[]))
