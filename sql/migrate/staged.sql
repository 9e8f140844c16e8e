-- The long signatures of the dump ("dump", every column as it came) with their parcel, scene and band by the lake's names
-- and the shift of their scene added, or why they are refused. Tables: fids (fid, pid), known (obsid, card, shift), names (card, given, band).
-- bucket spreads scenes over portions; what is refused goes to bucket -1.
with given as (
    select
        whole_number(pid) as fid,
        whole_number(obsid) as obsid,
        upper(trim(band::varchar)) as given, try_cast(try_cast(count as double) as integer) as count,
        try_cast(mean as double) as mean, try_cast(std as double) as std, try_cast(min as double) as min, try_cast(max as double) as max,
        try_cast(p25 as double) as p25, try_cast(p50 as double) as p50, try_cast(p75 as double) as p75,
        concat_ws(',', pid, obsid, band) as line,
        (dump.mean is not null and try_cast(dump.mean as double) is null) or (dump.std is not null and try_cast(dump.std as double) is null)
        or (dump.min is not null and try_cast(dump.min as double) is null) or (dump.max is not null and try_cast(dump.max as double) is null)
        or (dump.p25 is not null and try_cast(dump.p25 as double) is null) or (dump.p50 is not null and try_cast(dump.p50 as double) is null)
        or (dump.p75 is not null and try_cast(dump.p75 as double) is null) as unread
    from dump
),
judged as (
    select
        fids.pid, given.obsid, known.card, names.band, given.line,
        given.count, given.std, if(names.band = 'SC', 0, known.shift) as shift,
        given.unread, given.mean, given.min, given.max, given.p25, given.p50, given.p75,
        case
            when fids.pid is null then 'no parcel has this number'
            when known.card is null then 'no scene of the catalogue that was taken has this number'
            when names.band is null then 'its scene is of card ' || known.card || ', which has no such band'
            when given.count is null or given.count < 0 then 'it has no count'
            when given.unread then 'one of its numbers cannot be read'
        end as reason
    from given
    left join fids using (fid)
    left join known using (obsid)
    left join names on names.card = known.card and names.given = given.given
)
select
    pid, obsid, card, band, count, (mean + shift)::float as mean, std::float as std, (min + shift)::float as min,
    (max + shift)::float as max, (p25 + shift)::float as p25, (p50 + shift)::float as p50, (p75 + shift)::float as p75,
    line, reason, if(reason is null, obsid % (select buckets from portions), -1) as bucket
from judged
