-- The parcels of a sample in the order drawn, one row per parcel: the holdings and groups (buckets) for which it was drawn, its first
-- ranking, and the verdict; that is null until all of them have one. What was declared as `declared` says.
select
    gsa_par_id as pid, any_value(crop) as crop, any_value(area_ha) as area_ha, string_agg(distinct gsa_hol_id, ', ' order by gsa_hol_id) as holding,
    string_agg(distinct bucket_id, ', ' order by bucket_id) as bucket, min(ranking) as ranking,
    case when count(verdict) = count(*) then string_agg(distinct verdict, ', ' order by verdict) end as decision,
    arg_max(inspector, inspected) as who, max(inspected) as decided, arg_max(note, inspected) as note
from drawn
left join declared on declared.pid = drawn.gsa_par_id
group by gsa_par_id
order by min(order_added), gsa_par_id
