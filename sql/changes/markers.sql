-- What counts as the state of each marker that the search left as part $part for the parcels of $aoi and $year: its type, its dates, its
-- practice and whether the parcel is observable. Of the markers $measures, which are of the season as a whole, no dates: they change with
-- every look.
select
    pid, marker, marker_type,
    if(list_contains($measures::varchar[], marker), null, date_start) as date_start,
    if(list_contains($measures::varchar[], marker), null, date_main) as date_main,
    if(list_contains($measures::varchar[], marker), null, date_end) as date_end,
    practice, observable
from marked
where aoi::varchar = $aoi and year = $year and part = $part
