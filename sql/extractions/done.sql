-- What the ledger holds of $card over the parcel set $aoi, $year, $ptype: the latest try of each scene.
select scene, parcels, bands, rule, cube, status
from extractions
where card = $card and aoi = $aoi and year = $year and ptype = $ptype
