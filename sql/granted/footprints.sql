-- The footprints, in degrees, that the catalogue has of each scene (card/id).
select distinct concat(card, '/', id) as scene, geometry from stac_scenes
