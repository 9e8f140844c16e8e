-- What the lake says of parcel $pid of $aoi, $year and $ptype beside its curves, in one row: its lights (a list, by scenario, with reason and
-- due date), the verdict of the last crop check (null where it was not checked), how many changes of it are recorded after $since (null: at
-- all), and the last three of these, the latest first. No row where it says nothing of all that.
with present as (
    select list(struct_pack(scenario, colour, reason, due, date_start, date_end) order by scenario) as lights
    from lights
    where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid
),
checked as (
    select first(struct_pack(verdict, reason, since, likely, probability)) as crop_check
    from crop_checks
    where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid
),
recent as (
    select
        count(*) as changes,
        list(struct_pack(kind, scenario, marker, before, after, day, recorded) order by sequence desc, kind, scenario, marker, number)[:3] as latest
    from changes
    where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid and ($since::timestamptz is null or recorded > $since::timestamptz)
)
select present.lights, checked.crop_check, recent.changes, recent.latest
from present, checked, recent
where present.lights is not null or checked.crop_check is not null or recent.changes > 0
