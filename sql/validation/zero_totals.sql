-- Reference parcels whose tot_area is 0 though they have no non-agricultural area either.
select 'tot_area' as field, row, id, 'tot_area 0, na_area ' || round(na_area, 4) || ' ha' as detail
from lpis
where tot_area = 0 and na_area <= 0
order by row
