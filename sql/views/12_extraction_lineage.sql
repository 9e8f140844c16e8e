-- The extractions whose signatures make up each of those in "written": itself, and, where only the parcels that had changed
-- were extracted, those that it builds upon. latest is the extraction in "written"; parcels the version that each was made for.
create table extraction_lineage as
with recursive links as (
    select extraction as latest, extraction, base, card, scene, aoi, year, ptype, parcels from written
    union
    select links.latest, ledger.extraction, ledger.base, ledger.card, ledger.scene, ledger.aoi, ledger.year::integer, ledger.ptype, ledger.parcels
    from links join ledger on ledger.extraction = links.base and ledger.status = 'done'
)
select * exclude (base) from links
