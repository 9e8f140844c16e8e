-- Fallow after fallow: of the parcels of $aoi, $year and $ptype that are declared as fallow (list $fallow), the land that was fallow in $years
-- successive years up to $year. yes: more than the share $slivers of the parcel was. area_m2: the land of which this is certain; most_m2:
-- possible. Parcels whose declared crop cannot be judged are there, too.
select pid, crop_name, 'fallow after fallow' as rule, * exclude (pid, crop_name)
from listed_again(
    $aoi, $year::integer, $ptype, $years::integer, $fallow::varchar[], $slivers, 'fallow', 'something was grown there before'
)
order by holds = 'no', holds, share desc, pid
