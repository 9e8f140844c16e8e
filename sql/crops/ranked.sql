-- The verdicts of the last crop check of $aoi, $year and $ptype, with what was declared and the outlines (WKB in the coordinate system epsg):
-- the least likely declaration first, parcels that cannot be ranked last. likely: the likely groups of crops, the most likely first, with
-- their probabilities. is_current: whether the parcels are still those that were checked. $verdict is one of agrees, disagrees, cannot say,
-- and $crop_group one of the groups; null takes all.
select
    rank, pid, crop_name, crop_code, crop_checks.hcat, crop_group, size_class, verdict, reason,
    array_to_string(
        list_transform(likely, lambda name, number: format('{} {:.2f}', name, probability[number])), '; '
    ) as likely,
    p_value, since, day, run, crop_checks.version is not distinct from parcels.version as is_current, area_m2, epsg, geometry
from crop_checks left join parcels using (aoi, year, ptype, pid)
where aoi = $aoi and year = $year and ptype = $ptype
    and ($verdict::varchar is null or verdict = $verdict) and ($crop_group::varchar is null or crop_group = $crop_group)
order by rank nulls last, pid
