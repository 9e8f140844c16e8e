-- The reference parcels of the table lpis_read with their hectares as exact decimals: 1.0005 is to be rounded up, which its
-- nearest binary number is not. What is no finite number is null; beyond 1e19, either way, it is that.
select row, id, hectares(columns('_area$')) as '\0'
from lpis_read
