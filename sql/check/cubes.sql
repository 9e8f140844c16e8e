-- Bands of cubes in the table arrays (card, grid, band, length) that are shorter than the table slots says; band is null where
-- there is no cube at all.
select card, grid, band, length, wanted
from (select card, grid, max(slot) + 1 as wanted from slots group by card, grid)
left join arrays using (card, grid)
where coalesce(length, 0) < wanted
order by all
