-- For each scene in "portion" and "portion_hists": a number that depends on what they hold of it, and how many rows
-- count.
with united as (
    select obsid, hash(pid, band, count, mean, std, min, max, p25, p50, p75) as digest, 'signatures' as kind, place from portion
    union all
    select obsid, hash(pid, classes) as digest, 'hists' as kind, place from portion_hists
)
select
    obsid, coalesce(bit_xor(digest) filter (where place = 1), 0) as digest,
    count(*) filter (where place = 1 and kind = 'signatures') as signatures, count(*) filter (where place = 1 and kind = 'hists') as hists
from united
group by obsid
order by obsid
