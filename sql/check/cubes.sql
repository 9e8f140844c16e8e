-- Cubes in the table slots that are missing, or bands of them in the table arrays (card, grid, band, length) that are shorter: how many
-- places they have and how many were reserved; used are those that extractions in the table filled (card, grid, slot, band) speak of.
with reserved as (select card, grid, max(slot) + 1 as wanted from slots group by card, grid),
spoken as (select card, grid, max(slot) + 1 as used from filled group by card, grid)
select card, grid, band, length, wanted, coalesce(used, 0) as used
from reserved
left join arrays using (card, grid)
left join spoken using (card, grid)
where coalesce(length, 0) < wanted
order by all
