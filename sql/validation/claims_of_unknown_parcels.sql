-- Parcels that are claimed but not in gsa; where both tables name the paying agency (gsa_code), it has to be the same.
select 'gsa_par_id' as field, min(row) as row, gsa_par_id as id, 'claims: ' || count(*) as detail
from claims
where gsa_par_id is not null and not exists (
    select 1
    from gsa
    where gsa.gsa_par_id = claims.gsa_par_id
        and (gsa.gsa_code = claims.gsa_code or gsa.gsa_code is null or claims.gsa_code is null)
)
group by gsa_code, gsa_par_id
order by row
