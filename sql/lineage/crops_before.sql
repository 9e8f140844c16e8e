-- What grew where each parcel of $aoi, $year and $ptype lies, by the declarations of $year_before and $ptype_before: its crop now, and each
-- crop of then with its share of the parcel, the largest first. Parcels that were in none of then have no row.
select
    of.pid, now.crop_code, now.crop_name, was.crop_code as crop_code_before, was.crop_name as crop_name_before,
    sum(of.share) as share, sum(of.shared_m2) as shared_m2
from lineage as of
join parcels as now on now.aoi = of.aoi and now.year = of.year and now.ptype = of.ptype and now.pid = of.pid
join parcels as was
    on was.aoi = of.aoi and was.year = of.year_before and was.ptype = of.ptype_before and was.pid = of.pid_before
where of.aoi = $aoi and of.year = $year and of.ptype = $ptype and of.year_before = $year_before and of.ptype_before = $ptype_before
group by all
order by of.pid, share desc, crop_code_before
