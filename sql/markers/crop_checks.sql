-- What the last crop check of the set $aoi, $year, $ptype says of each of its parcels, as a marker: its verdict as marker_type, from when on
-- (date_start, date_main) to the last day that it used (date_end), the p-value of the declared crop, the probability of the likeliest one, the
-- rank, and the confidence: 1 less the p-value of a parcel that disagrees, the probability of the declared crop of one that agrees, null else.
-- Beside these the likely groups of crops with their probabilities, the reason, the run, and the version of the parcels; $pids limits the
-- parcels, null takes all.
select
    pid, verdict as marker_type, null::varchar as practice, coalesce(since, day) as date_start, coalesce(since, day) as date_main,
    day as date_end, p_value, probability[1] as probability, rank,
    case verdict when 'disagrees' then 1 - p_value when 'agrees' then probability[list_position(likely, crop_group)] end as confidence,
    likely, probability as probabilities, since, reason, run, version
from crop_checks
where aoi = $aoi and year = $year and ptype = $ptype and ($pids::varchar[] is null or list_contains($pids::varchar[], pid))
order by pid
