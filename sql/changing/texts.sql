-- The values of a column of parcels (table given) as texts.
select value::varchar as value from given
