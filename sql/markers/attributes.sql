-- What rasters say of the parcels of $aoi, $year and $ptype, in the order of their pids: a column for each attribute.
select * exclude (aoi, year, ptype)
from parcel_attributes
where aoi = $aoi and year = $year and ptype = $ptype
order by pid
