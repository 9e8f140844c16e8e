-- What the ledger holds of $card over the parcel set $aoi, $year, $ptype: for each scene the number of its latest attempt, what was
-- last done, whether that was the scene as it is catalogued now, the versions of the parcel set whose signatures that builds upon, and
-- how many signatures were written for all of them.
select
    tried.scene, tried.attempt, written.extraction, written.parcels, written.bands, written.rule, written.boa_offset, written.cube, written.started, written.pixels, written.statistics, written.indices, written.mask, written.mask_stamp,
    written.extraction in (select extraction from done) as current,
    list(extraction_lineage.parcels) filter (extraction_lineage.parcels is not null) as versions, coalesce(sum(counted.signatures), 0)::bigint as signatures
from extractions as tried
left join written using (card, scene, aoi, year, ptype)
left join extraction_lineage on extraction_lineage.latest = written.extraction
left join (
    select extraction, arg_max("rows", attempt) as signatures from ledger where status = 'done' group by extraction
) as counted on counted.extraction = extraction_lineage.extraction
where tried.card = $card and tried.aoi = $aoi and tried.year = $year and tried.ptype = $ptype
group by all
