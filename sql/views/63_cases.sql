-- Cases as they stand now: what was found on a parcel by a scenario, and who decided what of it. status: open, notified, answered or
-- closed; colour, reason, day: the light for which the case was opened, or opened again; who, decided, note: of the latest decision; geometry: that of
-- the parcel when it was opened (WKB, in the coordinate system epsg), with which the case stays when parcels are declared anew. notified:
-- when it was notified last, to which a new date adds nothing; answer_by: of that notice, or the date that it was given since.
create view cases as
select
    case_id, any_value(aoi)::varchar as aoi, any_value(year)::integer as year, any_value(ptype) as ptype, any_value(pid) as pid,
    any_value(scenario) as scenario, arg_max(status, number) as status, max(number) as number,
    arg_max(colour, number) filter (colour is not null) as colour, arg_max(reason, number) filter (reason is not null) as reason,
    arg_max(day, number) filter (day is not null) as day, arg_max(parcels, number) filter (parcels is not null) as parcels,
    min(decided) filter (number = 1) as opened, max(decided) filter (status = 'notified' and former is distinct from 'notified') as notified,
    arg_max_null(answer_by, number) filter (status = 'notified') as answer_by,
    arg_max_null(outcome, number) as outcome,
    arg_max(who, number) as who, arg_max(decided, number) as decided, arg_max(note, number) as note,
    coalesce(sum(len(photos)), 0)::integer as photos,
    coalesce(sum(len(flatten(list_transform(photos, lambda photo: photo.contradictions)))), 0)::integer as contradictions,
    arg_max(epsg, number) filter (epsg is not null) as epsg, arg_max(geometry, number) filter (geometry is not null) as geometry
from (select *, lag(status) over (partition by case_id order by number, sequence) as former from decisions)
group by case_id
