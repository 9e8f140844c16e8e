-- Parcels of the table $owner without an outline.
select 'geometry' as field, row, id, '' as detail
from outlines
where owner = $owner and missing
order by row
