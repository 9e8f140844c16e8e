-- The 10 largest and the 10 smallest parcels of the table $owner by the area of their outline in EPSG:3035.
select 'geometry' as field, row, id, round(area / 10000, 4)::decimal(28, 4) || ' ha' as detail
from (
    select *, row_number() over (order by area desc, row) as large, row_number() over (order by area, row) as small
    from outlines
    where owner = $owner and area > 0
)
where large <= 10 or small <= 10
order by area desc, row
