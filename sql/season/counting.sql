-- Which signatures count over the parcel set $aoi, $year, $ptype: how many extractions there are, and one number that is another where
-- they are others; no row where there are none.
select count(*) as extractions, bit_xor(hash(card, extraction, parcels))::varchar as digest
from counting
where aoi = $aoi and year = $year and ptype = $ptype
having count(*) > 0
