-- What is sent to the farmers of the cases $ids (identifiers, or the beginnings of them): the parcel, what a scenario says of it and why,
-- and until when an answer is expected, $answer_by or, where that is null, what was recorded. Nothing of who decided what, nor of notes.
-- geometry: that of the parcel when its case was opened (WKB, in the coordinate system epsg); crop_name and area_m2: as declared now,
-- null where the parcel has another geometry by now.
select
    case_id, cases.aoi, cases.year, cases.pid, crop_name, area_m2, if(scenario = '', 'the declaration as a whole', scenario) as scenario, colour, reason, day,
    coalesce($answer_by::date, answer_by) as answer_by, cases.epsg, cases.geometry
from cases
left join parcels on parcels.aoi = cases.aoi and parcels.year = cases.year and parcels.ptype = cases.ptype and parcels.pid = cases.pid
    and parcels.geometry = cases.geometry
where exists (from unnest($ids::varchar[]) as asked(id) where starts_with(case_id, id))
order by cases.aoi, cases.year, cases.ptype, cases.pid, scenario
