-- What is known of the headers of the rasters $hrefs.
select href, arg_max(header, (coalesce(sequence, 0), seen, header)) as header
from rasters
where href in $hrefs::varchar[]
group by href
