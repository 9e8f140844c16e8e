-- Claims for more than the hectares of the parcel's outline in EPSG:3035, rounded to 4 decimals.
select
    'claim_area' as field, row, coalesce(gsa_par_id, '(empty)') || ' + ' || coalesce(ua, '(empty)') as id,
    round(claim_area, 4) || ' ha claimed, ' || hectares || ' ha drawn' as detail
from claims
join (
    select id as gsa_par_id, max(round(area::decimal(28, 8) / 10000, 4)::decimal(28, 4)) as hectares
    from outlines
    where owner = 'gsa' and round(area, 4) > 0
    group by id
) using (gsa_par_id)
where claim_area > 0 and claim_area > hectares
order by claim_area - hectares desc, row
