-- Areas of reference parcels that are negative, or larger than tot_area by more than 0.001 ha when rounded to 3 decimals.
select
    field, row, id, round(value, 4) || ' ha of ' || round(tot_area, 4) || ' ha' as detail,
    if(value < 0, 'negative', 'larger than tot_area') as kind
from (
    unpivot lpis on al_area, pc_area, pg_area, na_area, af_area, n2000_area, pw_area, lf_area, anc_area
    into name field value value
)
where value < 0
    or (tot_area > 0 and round(value, 3) > round(tot_area, 3) and round(value - tot_area, 3) > 0.001)
order by field, value - tot_area desc, row
