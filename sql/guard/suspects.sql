-- The scenes that are marked as suspect and were not cleared since: what is wrong with each, and by how much.
select card, scene, kind, shift, reason, found, version from suspected order by found, scene
