-- Of which parcel sets there are statistics of which card, of how many scenes, from when to when.
select card, aoi, year::integer as year, ptype, count(*) as scenes, min(datetime) as first, max(datetime) as last
from (select distinct card, aoi, year, ptype, scene from extractions where status = 'done' and rows > 0) as made
join current_scenes using (card)
where current_scenes.id = made.scene
group by all
order by all
