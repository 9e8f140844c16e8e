-- Reference parcels whose tot_area is larger than the hectares of their outline in EPSG:3035, rounded to 4 decimals.
select
    'tot_area' as field, row, id, round(tot_area, 4) || ' ha declared, ' || hectares || ' ha drawn' as detail
from lpis
join (
    select row, round(area::decimal(28, 8) / 10000, 4)::decimal(28, 4) as hectares
    from outlines
    where owner = 'lpis' and round(area, 4) > 0
) using (row)
where tot_area > 0 and tot_area > hectares
order by tot_area - hectares desc, row
