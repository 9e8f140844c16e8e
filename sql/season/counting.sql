-- Which signatures count over the parcel set $aoi, $year, $ptype: how many extractions there are, and one number that is another where
-- they are others.
select count(*) as extractions, coalesce(bit_xor(hash(card, extraction, parcels)), 0)::varchar as digest
from counting
where aoi = $aoi and year = $year and ptype = $ptype
