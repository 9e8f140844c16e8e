-- Pairs of valid parcels of the table $owner that have more than 10 m² in common in EPSG:3035, the largest first; parcels of
-- one identifier are found as duplicates, outlines of the same coordinates as identical.
select
    'geometry' as field, pairs.row_a as row, least(a.id, b.id) || ', ' || greatest(a.id, b.id) as id,
    pairs.area::decimal(28, 1) || ' m², ' || pairs.kind as detail, pairs.kind
from pairs
join outlines as a on a.owner = pairs.owner and a.row = pairs.row_a
join outlines as b on b.owner = pairs.owner and b.row = pairs.row_b
where pairs.owner = $owner and a.id <> b.id
order by pairs.area desc, row
