-- What to extract again, by the table ledger: of every scene over every parcel set the last extraction that was done, with the day of
-- the scene in the table catalogued (card, id, datetime), null where it is not there.
select last.card, scene, aoi, year, ptype, bands, rule, cube, slots, statistics, indices, mask, strftime(moment, '%Y-%m-%d') as day
from (
    select *
    from ledger
    where status = 'done'
    qualify row_number() over (
        partition by card, scene, aoi, year, ptype order by attempt desc, coalesce(sequence, 0) desc, finished desc
    ) = 1
) as last
left join (select card, id, any_value(datetime) as moment from catalogued group by card, id) as dated
    on dated.card = last.card and dated.id = last.scene
order by all
