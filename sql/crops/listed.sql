-- The verdicts of the last crop check on the parcels of $aoi, $year, $ptype by rank, the most doubtful first: at most $most of them, with
-- how many there are in all (total). $verdict limits them to one verdict, $crop to those whose declared crop or its group contains that
-- text, small and capital letters alike; null takes all.
select
    one.rank, one.pid, one.verdict, coalesce(parcels.crop_name, parcels.crop_code) as declared, one.crop_group, one.likely,
    one.probability, one.p_value, one.since, one.reason, one.day, parcels.geometry, parcels.epsg, count(*) over () as total
from crop_checks as one
join parcels using (aoi, year, ptype, pid)
where one.aoi = $aoi and one.year = $year and one.ptype = $ptype and ($verdict::varchar is null or one.verdict = $verdict)
    and ($crop::varchar is null or contains(lower(concat_ws(' ', parcels.crop_name, parcels.crop_code, one.crop_group)), lower($crop)))
order by one.rank nulls last, one.pid
limit $most::integer
