-- The rasters of the scenes that are called one of $ids, whatever their card, as the catalogue has them.
select card, id, assets from current_scenes where list_contains($ids::varchar[], id)
