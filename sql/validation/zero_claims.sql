-- Claims for no area, or a negative one.
select 'claim_area' as field, row, coalesce(gsa_par_id, '(empty)') || ' + ' || coalesce(ua, '(empty)') as id, round(claim_area, 4) || ' ha' as detail
from claims
where claim_area <= 0
order by claim_area, row
