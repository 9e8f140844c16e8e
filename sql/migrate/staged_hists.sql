-- The histograms of the dump ("dump_hists", every column as it came) with their parcel and the pixels of each scene class, or why they
-- are refused. Tables and bucket as in staged.
with given as (
    select
        whole_number(pid) as fid,
        whole_number(obsid) as obsid,
        replace(hist::varchar, chr(39), '"') as hist, concat_ws(',', pid, obsid, hist) as line
    from dump_hists
),
judged as (
    select
        fids.pid, given.obsid, known.card, given.line,
        if(json_valid(given.hist), from_json(given.hist, '"MAP(VARCHAR, DOUBLE)"'), null) as classes,
        case
            when fids.pid is null then 'no parcel has this number'
            when known.card is null then 'no scene of the catalogue that was taken has this number'
            when known.card <> 's2' then 'its scene is of card ' || known.card || ', which has no classes'
            when classes is null then 'its hist is no JSON object'
            when len(list_filter(map_keys(classes), lambda name: name not in ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11'))) > 0
                then 'its hist has a class that is none of 0 to 11'
            when len(list_filter(map_values(classes), lambda pixels: pixels is null or pixels < 0)) > 0 then 'its hist has a class without count'
        end as reason
    from given
    left join fids using (fid)
    left join known using (obsid)
)
select
    pid, obsid, card, [coalesce(classes[number::varchar], 0)::integer for number in range(12)] as classes,
    line, reason, if(reason is null, obsid % (select buckets from portions), -1) as bucket
from judged
