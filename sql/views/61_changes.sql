-- Each change of a light, a marker or the status of a scene over a parcel set, once: what changed (kind, pid and scenario, or pid,
-- marker and number, or card and scene), before and after (null where it was not there, or is there no more), cause and the scenes among
-- the causes, and the state after it. day: as of the end of which it was judged; recorded: when; run: in which night run.
create view changes as
select
    aoi::varchar as aoi, year::integer as year, ptype, kind, pid, scenario, marker, number, card, scene, before, after, cause, scenes,
    reason, due, marker_type, date_start, date_main, date_end, practice, observable, events, confidence, day, run, recorded, sequence
from changed
where kind <> 'night'
