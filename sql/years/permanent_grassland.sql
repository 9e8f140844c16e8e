-- Permanent grassland: of the parcels of $aoi, $year and $ptype that are declared as grass (list $grass), the land that was grass in $years
-- successive years up to $year, 5 in Regulation (EU) 2021/2115, Article 4(3)(c). yes: more than the share $slivers of the parcel is.
-- area_m2: the land of which this is certain; most_m2: possible. Parcels whose declared crop cannot be judged are there, too.
select pid, crop_name, 'permanent grassland' as rule, * exclude (pid, crop_name)
from listed_again(
    $aoi, $year::integer, $ptype, $years::integer, $grass::varchar[], $slivers, 'grass', 'other crops grew there before'
)
order by holds = 'no', holds, share desc, pid
