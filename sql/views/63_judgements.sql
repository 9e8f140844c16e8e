-- What people decided of lights, as it stands now: of each parcel and scenario (empty: of the declaration as a whole) the last judgement
-- that nobody withdrew. decision: confirmed, refused, photo (one is asked of the farmer) or undecidable; colour, reason, due: the light as
-- it was then, of a declaration as a whole the worst one; shown: JSON of what was drawn when it was decided; former_decision, former_who:
-- what stood before, and whose that was; geometry: that of the parcel then (WKB, in the coordinate system epsg). outdated says what of the
-- declaration is another one by now: gone (no such parcel is declared), geometry, crop, or set (the parcel set was loaded anew, with the
-- same geometry and crop of the parcel); null where it is the one that was judged.
create view judgements as
with standing as not materialized (
    select * from judged
    where decision <> 'withdrawn' and not exists (
        from judged as later
        where later.withdraws = judged.number and later.aoi = judged.aoi and later.year = judged.year and later.ptype = judged.ptype
            and later.pid = judged.pid and later.scenario = judged.scenario
    )
    qualify row_number() over (partition by aoi, year, ptype, pid, scenario order by number desc, sequence desc) = 1
),
sets as (select aoi, year, ptype, any_value(version) as version from parcels group by all),
earlier as (
    select distinct aoi, year, ptype, pid from standing left join sets using (aoi, year, ptype)
    where sets.version is distinct from standing.parcels
),
now as (
    select parcels.aoi, parcels.year, parcels.ptype, parcels.pid, parcels.geometry, parcels.crop_code, parcels.crop_name
    from parcels join earlier on parcels.aoi = earlier.aoi and parcels.year = earlier.year and parcels.ptype = earlier.ptype
        and parcels.pid = earlier.pid
)
select
    standing.aoi::varchar as aoi, standing.year::integer as year, standing.ptype, standing.pid, standing.scenario, standing.number,
    standing.decision, standing.note, standing.who, standing.decided, standing.as_of, standing.day, standing.colour, standing.reason,
    standing.due, standing.lights, standing.parameters, standing.shown, former.decision as former_decision, former.who as former_who,
    standing.parcels,
    case
        when earlier.pid is null then null
        when now.pid is null then 'gone'
        when now.geometry is distinct from standing.geometry then 'geometry'
        when (now.crop_code, now.crop_name) is distinct from (standing.crop_code, standing.crop_name) then 'crop'
        else 'set'
    end as outdated,
    standing.crop_name, standing.crop_code, standing.epsg, standing.geometry, standing.version
from standing
left join judged as former on former.aoi = standing.aoi and former.year = standing.year and former.ptype = standing.ptype
    and former.pid = standing.pid and former.scenario = standing.scenario and former.number = standing.replaces
left join earlier on earlier.aoi = standing.aoi and earlier.year = standing.year and earlier.ptype = standing.ptype
    and earlier.pid = standing.pid
left join now on now.aoi = standing.aoi and now.year = standing.year and now.ptype = standing.ptype and now.pid = standing.pid
