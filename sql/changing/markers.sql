-- The changes of markers from what is recorded (table was) to what is there now (table now): of each its number, its state in words before
-- and after, and its state after. A marker that is gone and one that has come are the same where each is the nearest of the other, less
-- than $apart days away, or where neither has dates. New ones get the numbers after the greatest that was ever given (table used).
with states as (
    select null::integer as number, pid, marker, marker_type, date_start, date_main, date_end, practice, observable from now
    union all
    select -number, pid, marker, marker_type, date_start, date_main, date_end, practice, observable from was
),
differing as (
    select
        pid, marker, marker_type, date_start, date_main, date_end, practice, observable,
        count(*) filter (number is null) as present, coalesce(list(-number order by -number) filter (number is not null), []) as numbers,
        least(date_start, date_main, date_end) as first, greatest(date_start, date_main, date_end) as last,
        coalesce(nullif(concat_ws(
            ' ', marker_type,
            case
                when date_start is not null and date_end is not null then concat(date_start, ' to ', date_end)
                else coalesce(date_start, date_end)::varchar
            end,
            'about ' || date_main, practice, if(observable is false, 'seen too seldom', null)
        ), ''), 'there') as words
    from states
    group by pid, marker, marker_type, date_start, date_main, date_end, practice, observable
    having count(*) filter (number is null) <> count(*) filter (number is not null)
),
come as (
    select *, row_number() over (partition by pid, marker order by first, last, words) as place
    from (select * exclude (numbers, present), unnest(range(present - len(numbers))) as copy from differing where present > len(numbers))
),
gone as (
    select * exclude (numbers, present), unnest(numbers[present + 1:]) as number from differing where present < len(numbers)
),
nearest as (
    select
        pid, marker, come.place, gone.number, gone.words as before,
        row_number() over (partition by pid, marker, come.place order by distance, gone.number) as of_come,
        row_number() over (partition by pid, marker, gone.number order by distance, come.place) as of_gone
    from come
    join gone using (pid, marker),
    lateral (select coalesce(greatest(come.first, gone.first) - least(come.last, gone.last), 0) as distance)
    where (come.first is null) = (gone.first is null) and distance < $apart
),
same as (
    select * from nearest where of_come = 1 and of_gone = 1
)
select
    'marker' as kind, pid, marker,
    coalesce(same.number, coalesce(used.number, 0) + row_number() over (
        partition by pid, marker, same.number is null order by place
    ))::integer as number,
    same.before, words as after, marker_type, date_start, date_main, date_end, practice, observable
from come
left join same using (pid, marker, place)
left join used using (pid, marker)
union all
select 'marker', pid, marker, number, words, null, null, null, null, null, null, null
from gone
anti join same using (pid, marker, number)
order by pid, marker, number
