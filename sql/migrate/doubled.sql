-- The rows of "portion" and "portion_hists" in whose place another row counts, as they go into the list of what is refused.
select 'signatures' as "table", line, 'another row of the same parcel, scene and band counts' as reason from portion where place > 1
union all
select 'hists' as "table", line, 'another row of the same parcel and scene counts' as reason from portion_hists where place > 1
