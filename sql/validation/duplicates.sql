-- Values of the key that stand in several rows of the table keys (row, first, second): how often and in which row first;
-- keys with a part missing are no keys.
select first, second, count(*) as times, min(row) as row
from keys
where first is not null and second is not null
group by first, second
having times > 1
order by row
