-- The rows of "portion" and "portion_hists" whose scene is in the list $obsids, as they go into the list of what is refused: the lake has
-- taken statistics of that scene itself.
select 'signatures' as "table", line, 'the lake has extracted this scene itself' as reason
from portion
where place = 1 and list_contains($obsids::bigint[], obsid)
union all
select 'hists' as "table", line, 'the lake has extracted this scene itself' as reason
from portion_hists
where place = 1 and list_contains($obsids::bigint[], obsid)
