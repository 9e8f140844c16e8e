-- What is declared of each parcel otherwise than before: of both versions (tables was and now: pid, field, value) the fields that differ,
-- with what is said of it. field is null where it concerns whatever is said of the parcel: it is new, declared no more, or has another
-- outline.
with pids as (
    select coalesce(was.pid, now.pid) as pid, was.pid is null as is_new, now.pid is null as is_gone
    from (select distinct pid from was) as was
    full join (select distinct pid from now) as now on was.pid = now.pid
)
select pid, null::varchar as field, if(is_new, 'new parcel', 'parcel declared no more') as what
from pids
where is_new or is_gone
union all
select
    pid, if(field = 'outline', null, field) as field,
    case
        when field = 'outline' then 'outline changed'
        else concat(
            case field when 'crop:name' then 'crop' when 'crop:code' then 'crop code' else concat('declared.', field) end,
            ' is ', coalesce(nullif(decode(now.value), ''), 'empty'), ', was ', coalesce(nullif(decode(was.value), ''), 'empty')
        )
    end as what
from (from was semi join (from pids where not is_new and not is_gone) using (pid)) as was
full join (from now semi join (from pids where not is_new and not is_gone) using (pid)) as now using (pid, field)
where was.value is distinct from now.value
order by pid, field, what
