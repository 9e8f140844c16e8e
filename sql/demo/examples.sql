-- One telling parcel of each kind of the demonstration in $aoi and $year: the largest grassland that was mown at least twice, the
-- largest parcels that are whole, split between two crops, and of another crop than declared. $truth and $events are the sample's files.
with told as (
    select distinct pid, crop, second, kinds from read_parquet($truth)
),
mown as (
    select pid, count(*) as cuts from read_parquet($events) where event = 'mowing' group by pid
)
select
    case when kinds = 'whole' and crop_name = 'grassland' then 'mown' else kinds end as example,
    parcels.pid, crop_name as declared, crop, second, area_m2
from parcels
join told using (pid)
left join mown using (pid)
where aoi = $aoi and year = $year
    and (kinds in ('split', 'wrong_crop') or kinds = 'whole' and (crop_name = 'winter wheat' or crop_name = 'grassland' and cuts >= 2))
qualify row_number() over (partition by example order by area_m2 desc) = 1
order by list_position(['whole', 'mown', 'split', 'wrong_crop'], example)
