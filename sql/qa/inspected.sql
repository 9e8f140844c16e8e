-- The parcels of $aoi, $year and $ptype that were looked at in an inspection, each sample's latest verdict of them, with
-- their outlines (WKB, in the system of $aoi).
select
    i.sample_id || ':' || i.pid as id, i.sample_id, i.pid, i.holding_id, i.bucket_id, i.verdict, i.note, i.inspector,
    i.inspected, p.crop_name, p.crop_code, p.area_m2, p.epsg, p.geometry
from inspections i
join parcels p on p.pid = i.pid
where p.aoi = $aoi and p.year = $year and p.ptype = $ptype
qualify row_number() over (partition by i.sample_id, i.pid, i.holding_id, i.bucket_id order by i.sequence desc nulls last, i.inspected desc, i.verdict, i.note) = 1
order by i.sample_id, i.pid, i.holding_id, i.bucket_id
