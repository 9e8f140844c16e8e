-- The rasters of the scenes $scenes (card/id), as the catalogue has them.
select card, id, assets from current_scenes where concat(card, '/', id) in (select unnest($scenes::varchar[]))
