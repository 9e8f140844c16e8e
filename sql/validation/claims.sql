-- The claims of the table claims_read with their hectares as exact decimals; what is no finite number is null.
select row, gsa_code, gsa_par_id, ua, hectares(claim_area) as claim_area
from claims_read
