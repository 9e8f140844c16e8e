-- Area grown beyond its reference: the parcels of $aoi, $year and $ptype against the reference parcels of the land parcel identification system. $covered
-- lists by pid the area of the parcel that lies in a reference (inside_m2), the parcel's perimeter (length_m), the references that it meets
-- (references) and the area that is claimed (claimed_m2; null: that of its geometry, if that is not smaller). no: more lies outside than a buffer of $buffer metres along the perimeter, at most $most_m2 square metres, allows.
select
    pid, crop_name, 'within its reference' as rule, if(inside_m2 <= 0 or area_m2 > tolerance_m2, 'no', 'yes') as holds, case
        when inside_m2 <= 0 then 'it lies in no reference parcel'
        when area_m2 > tolerance_m2 and outside_m2 > tolerance_m2 then format('{:.0f} m² lie outside, {:.0f} are tolerated', area_m2, tolerance_m2)
        when area_m2 > tolerance_m2
            then format('{:.0f} m² more are claimed than lie within, {:.0f} are tolerated', area_m2, tolerance_m2)
        when area_m2 >= 0.5 then 'what lies outside is within the tolerance'
        else 'it lies within'
    end as reason,
    parcel_m2, area_m2, area_m2 as most_m2, area_m2 / nullif(parcel_m2, 0) as share, null::date as day, [$year::integer] as years,
    []::varchar[] as pids_before, []::varchar[] as compared_by,
    if(len(meets) = 0, null, 'reference ' || array_to_string(meets, ', ')) as evidence, false as is_open
from (
    select
        parcels.pid, crop_name, parcels.area_m2 as parcel_m2, coalesce(inside_m2, 0) as inside_m2,
        greatest(parcels.area_m2 - coalesce(inside_m2, 0), 0) as outside_m2,
        greatest(outside_m2, coalesce(claimed_m2 - coalesce(inside_m2, 0), 0)) as area_m2, coalesce(meets, []) as meets,
        least(coalesce(length_m, 0) * $buffer::double, $most_m2::double) as tolerance_m2
    from parcels
    left join (
        select one.pid as pid, one.inside_m2 as inside_m2, one.length_m as length_m, one.references as meets, one.claimed_m2 as claimed_m2
        from (
            select unnest($covered::struct(pid varchar, inside_m2 double, length_m double, "references" varchar[], claimed_m2 double)[]) as one
        )
    ) as covered using (pid)
    where aoi = $aoi and year = $year and ptype = $ptype
)
order by holds = 'yes', area_m2 desc, pid
