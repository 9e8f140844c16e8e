-- What the last crop check of the set $aoi, $year, $ptype says of each of its parcels, as a marker: its verdict as marker_type, from when on
-- (date_start, date_main) to the last day that it used (date_end), the p-value of the declared crop, the probability of the likeliest one, the
-- rank, and the confidence: 1 less the p-value of a parcel that disagrees, the probability of the declared crop of one that agrees, null else.
-- Beside these the declared group, the likely ones with their probabilities, the reason, the run, what was promised (alpha), and the
-- version of the parcels; $pids limits the parcels, null takes all.
select
    one.pid, one.verdict as marker_type, null::varchar as practice, coalesce(one.since, one.day) as date_start,
    coalesce(one.since, one.day) as date_main, one.day as date_end, one.p_value, one.probability[1] as probability, one.rank,
    case one.verdict
        when 'disagrees' then 1 - one.p_value
        when 'agrees' then one.probability[list_position(one.likely, one.crop_group)]
    end as confidence,
    one.crop_group, one.likely, one.probability as probabilities, one.since, one.reason, one.run, made.alpha, one.version
from crop_checks as one
left join crop_runs as made using (run)
where one.aoi = $aoi and one.year = $year and one.ptype = $ptype
    and ($pids::varchar[] is null or list_contains($pids::varchar[], one.pid))
order by one.pid
