-- Groups of parcels of the table $owner whose outlines have the same coordinates in the same order; outlines that are missing
-- are a group, and so are empty ones.
select
    'geometry' as field, min(row) as row, string_agg(id, ', ' order by row) as id, count(*) || ' parcels' as detail,
    case when any_value(missing) then 'of missing ones' when any_value(empty) then 'of empty ones' else 'of outlines' end as kind
from outlines
where owner = $owner and not unreadable
group by identity
having count(*) > 1
order by row
