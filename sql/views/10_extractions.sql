-- The latest try to extract each scene over each parcel set: done or failed, and why.
create view extractions as
select * exclude (try) replace (year::integer as year)
from (
    select *, row_number() over (partition by card, scene, aoi, year, ptype order by finished desc) as try
    from ledger
)
where try = 1
