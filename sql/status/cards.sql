-- The cards of which each area has signatures.
select distinct aoi, card from done order by aoi, card desc
