-- What the ledger has of the areas $aois; null is all.
select * from ledger where $aois::varchar[] is null or aoi in (select unnest($aois::varchar[])) order by all
