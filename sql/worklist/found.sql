-- Whether markers of the parcel set of $aoi and $year with the number $part were found: one row, or none.
select aoi::varchar as aoi, year::integer as year, part
from marked
where aoi = $aoi and year = $year and part = $part
limit 1
