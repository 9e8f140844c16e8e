-- Sensitive grassland ploughed for the first time (GAEC 9): of the parcels of $aoi, $year and $ptype in a sensitive area (list $sensitive of pid and
-- area_m2, the part that is inside), those that were grass (list $grass) the year before, or are where nothing else grew then, with a ploughing marker of $year of at least the
-- confidence $confidence, and none in the other ones of $years years on the same land; cannot say where part of the land had one. area_m2: the part inside, if more than the share $slivers.
select
    pid, crop_name, 'ploughed for the first time' as rule, case
        when grass = false or observed and ploughed is null and perhaps is null then 'no'
        when ploughed is not null and last_share >= 1 - $slivers and grass then 'no'
        when ploughed is not null and grass and last is null and before_perhaps is null and looked >= 0.95 then 'yes'
        else 'cannot say'
    end as holds, case
        when grass = false then 'it was no grassland the year before'
        when observed is null then 'there are no markers of ' || $year
        when ploughed is null and perhaps is not null then 'perhaps ploughed on ' || perhaps
        when ploughed is null and observed then 'no ploughing was seen'
        when ploughed is null then 'not seen on enough clear dates'
        when grass is null and listed_share > $slivers and unlisted_share > $slivers
            then 'ploughed on ' || ploughed || '; ' || format('{:.0f} % of it', 100 * least(listed_share, 1)) || ' was grassland the year before'
        when grass is null then 'ploughed on ' || ploughed || '; whether it was grassland cannot be said' || coalesce(': ' || unknown, '')
        when last_share >= 1 - $slivers then 'ploughed before, on ' || last
        when last is not null then 'ploughed on ' || ploughed || ', and ' || format('{:.0f} % of it', 100 * last_share) || ' before, on ' || last
        when before_perhaps is not null then 'ploughed on ' || ploughed || ', and perhaps before, on ' || before_perhaps
        when looked >= 0.95 then 'ploughed on ' || ploughed || ', and never in the ' || ($years - 1) || ' years before'
        else 'ploughed on ' || ploughed || '; whether for the first time cannot be said: ' || coalesce(unknown, 'part of the land is not on record')
    end as reason,
    parcel_m2, inside_m2 as area_m2, inside_m2 as most_m2, area_m2 / nullif(parcel_m2, 0) as share, coalesce(ploughed, perhaps) as day,
    list_prepend($year::integer, years) as years, pids_before, []::varchar[] as compared_by,
    if(ploughed is null, null, 'confidence ' || coalesce(format('{:.2f}', sureness::double), 'not known')) as evidence, false as is_open
from (
    select
        pid, crop_name, land.area_m2 as parcel_m2, inside.inside_m2, before.* exclude (pid, area_m2, perhaps), before.perhaps as before_perhaps,
        events.* exclude (pid, of_year), case
            when listed_share >= 1 - $slivers then true
            when unlisted_share >= 1 - $slivers then false
            when is_grass and unlisted_share <= $slivers then true
        end as grass
    from (
        select pid, crop_name, area_m2, is_listed as is_grass from listed_parcels($aoi, $year::integer, $ptype, $grass::varchar[])
    ) as land
    join (
        select one.pid, sum(one.area_m2) as inside_m2
        from (select unnest($sensitive::struct(pid varchar, area_m2 double)[]) as one)
        group by one.pid
    ) as inside using (pid)
    join land_ploughed_before(
        $aoi, $year::integer, $ptype, $years::integer, $grass::varchar[], $confidence::double
    ) as before using (pid)
    left join ploughed_parcels($aoi, $ptype, $year::integer, $year::integer, $confidence::double) as events using (pid)
    where inside.inside_m2 > $slivers * land.area_m2
)
order by holds = 'no', holds = 'cannot say', day nulls last, pid
