-- Reference parcels whose arable land, permanent crops and permanent grassland together are larger than tot_area by more than
-- 0.001 ha when rounded to 3 decimals.
select
    'al_area + pc_area + pg_area' as field, row, id,
    round(parts, 4) || ' ha of ' || round(tot_area, 4) || ' ha' as detail
from (select *, al_area + pc_area + pg_area as parts from lpis)
where tot_area > 0 and round(parts, 3) > round(tot_area, 3) and round(parts - tot_area, 3) > 0.001
order by parts - tot_area desc, row
