-- What the ledger holds as done of $card over the parcel set $aoi, $year, $ptype: for each scene the number of the extraction and the
-- version of the program that wrote it.
select scene, extraction, version
from done
where card = $card and aoi = $aoi and year = $year and ptype = $ptype
