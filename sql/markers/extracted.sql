-- The bands of card $card that were extracted over the parcels of $aoi, $year and $ptype: a row for each, band null where an extraction
-- does not say which.
select distinct unnest(if(len(bands) > 0, bands, [null])) as band
from extractions
where card = $card and aoi = $aoi and year = $year and ptype = $ptype and status = 'done'
