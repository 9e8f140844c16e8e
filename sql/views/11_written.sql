-- The latest successful extraction of each scene over each parcel set: a later failure takes nothing away.
-- A table, worked out once per snapshot: every look-up asks what follows from it.
create table written as
select * exclude (blocks) replace (year::integer as year)
from ledger
where status = 'done'
qualify row_number() over (partition by card, scene, aoi, year, ptype order by attempt desc, sequence desc nulls last, finished desc, extraction) = 1
