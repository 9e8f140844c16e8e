-- Reference parcels whose tot_area is negative.
select 'tot_area' as field, row, id, round(tot_area, 4) || ' ha' as detail
from lpis
where tot_area < 0
order by tot_area, row
