-- What told the content of the rasters $hrefs from another, each time that it was another than before, in that order.
select href, json_extract_string(header, '$.stamp') as stamp, seen
from rasters
where href in $hrefs::varchar[] and coalesce(stamp, '') <> ''
order by sequence nulls first, seen
