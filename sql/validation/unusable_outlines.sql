-- Outlines of the table $owner that are no polygons, cannot be read, or lie where EPSG:3035 does not reach.
select
    'geometry' as field, row, id,
    case when unreadable then 'cannot be read' when outside then 'outside of EPSG:3035' else kind end as kind, kind as detail
from outlines
where owner = $owner and (unreadable or outside or (kind is not null and not empty))
order by row
