-- Cubes in the table slots that are missing, or bands of them in the table arrays (card, grid, band, length) that are shorter: how many
-- places they have and how many were reserved; used are those that extractions in the table filled (card, grid, slot, band) speak of,
-- in that band, or in any where the cube is missing: a band that is being made has none yet.
with reserved as (select card, grid, max(slot) + 1 as wanted from slots group by card, grid),
of_band as (select card, grid, band, max(slot) + 1 as used from filled group by card, grid, band),
of_cube as (select card, grid, max(used) as used from of_band group by card, grid)
select
    reserved.card, reserved.grid, arrays.band, arrays.length, reserved.wanted,
    coalesce(if(arrays.band is null, of_cube.used, of_band.used), 0) as used
from reserved
left join arrays on arrays.card = reserved.card and arrays.grid = reserved.grid
left join of_band on of_band.card = reserved.card and of_band.grid = reserved.grid and of_band.band = arrays.band
left join of_cube on of_cube.card = reserved.card and of_cube.grid = reserved.grid
where coalesce(arrays.length, 0) < reserved.wanted
order by all
