-- Unit amounts that nobody claims.
select 'ua' as field, min(row) as row, ua as id, '' as detail
from interventions
where ua is not null and not exists (select 1 from claims where claims.ua = interventions.ua)
group by ua
order by row
