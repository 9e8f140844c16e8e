-- Outlines of the table $owner without any coordinates.
select 'geometry' as field, row, id, 'area ' || coalesce(area, 0)::decimal(28, 1) || ', ' || coalesce(kind, 'POLYGON') || ' EMPTY' as detail
from outlines
where owner = $owner and empty
order by row
