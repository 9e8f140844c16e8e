-- The reference parcels of the table lpis_read with their hectares as exact decimals: 1.0005 is to be rounded up, which its
-- nearest binary number is not. What is no finite number is null.
select row, id, try_cast(columns('_area$') as decimal(28, 8))
from lpis_read
