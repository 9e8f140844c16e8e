-- The rows of a worklist (`listed`) in their order, with the geometry of each parcel (WKB, in the coordinate system epsg); null where it is declared no more.
select listed.* exclude (number), epsg, geometry
from listed
left join geometries using (pid)
order by number
