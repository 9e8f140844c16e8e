-- By what the markers of the dump ("markers_dump", every column as it came) name parcels: how many rows have a pid of the table pids
-- (pid) only, a number of the table marked_fids (fid, pid) only, and both, of two different parcels.
with given as (
    select distinct
        pid as key, if(regexp_full_match(pid, '(0|[1-9][0-9]*)([.]0+)?'), try_cast(try_cast(pid as double) as bigint), null) as number
    from markers_dump
)
select
    count(*) filter (where pids.pid is not null and fids.pid is null) as by_pid,
    count(*) filter (where pids.pid is null and fids.pid is not null) as by_number,
    count(*) filter (where pids.pid <> fids.pid) as differing
from given
left join pids on pids.pid = given.key
left join marked_fids as fids on fids.fid = given.number
