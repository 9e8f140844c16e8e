-- Parcels of version $version of the set $aoi, $year, $ptype that have another outline than in every one of its versions $since, or are new.
select now.id as pid
from parcel_versions as now
where now.aoi::varchar = $aoi and now.year = $year and now.ptype = $ptype and now.version = $version and not exists (
    select 1
    from parcel_versions as was
    where was.aoi::varchar = $aoi and was.year = $year and was.ptype = $ptype and was.version in $since::varchar[]
        and was.id = now.id and was.geometry = now.geometry
)
