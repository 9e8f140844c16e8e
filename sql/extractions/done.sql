-- What the ledger holds of $card over the parcel set $aoi, $year, $ptype: for each scene the number of its latest attempt, what was
-- last done, and the versions of the parcel set whose signatures that builds upon.
select
    tried.scene, tried.attempt, done.extraction, done.parcels, done.bands, done.rule, done.boa_offset, done.cube,
    list(chain.parcels) filter (chain.parcels is not null) as versions
from extractions as tried
left join done using (card, scene, aoi, year, ptype)
left join chain on chain.latest = done.extraction
where tried.card = $card and tried.aoi = $aoi and tried.year = $year and tried.ptype = $ptype
group by all
