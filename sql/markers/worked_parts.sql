-- The work that was done on a part only of the parcels of $aoi, $year and $ptype, a row per event: its marker (mown_part, ploughed_part
-- or harvested_part), dates, the worked share of the parcel, and the hectares of that part and of the parcel; $pids limits the parcels,
-- null takes all. Parts of an outline of another area than that in force do not count.
select
    pid, min(state) filter (not starts_with(state, 'un')) || '_part' as marker, date_start, date_main, date_end,
    sum(share) filter (not starts_with(state, 'un')) as share,
    sum(parts.area_m2) filter (not starts_with(state, 'un')) / 10000 as worked, any_value(parcels.area_m2) / 10000 as hectares,
    max(confidence) as confidence
from parts join parcels using (aoi, year, ptype, pid)
where aoi = $aoi and year = $year and ptype = $ptype and state is not null
    and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
group by pid, parts.marker, date_start, date_main, date_end
having abs(sum(parts.area_m2) - any_value(parcels.area_m2)) < 1
order by pid, date_start, marker
