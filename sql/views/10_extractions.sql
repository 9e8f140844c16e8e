-- The latest attempt to extract each scene over each parcel set: done or failed, and why.
create view extractions as
select * exclude (rank, blocks) replace (year::integer as year)
from (
    select *, row_number() over (partition by card, scene, aoi, year, ptype order by attempt desc, sequence desc nulls last, finished desc, extraction) as rank
    from ledger
)
where rank = 1
