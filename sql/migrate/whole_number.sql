-- whole_number(value): a number of a dump, text or number, as an integer; null where it is none or not whole: 12.7 is not parcel 13.
create or replace macro whole_number(value) as
    if(try_cast(value as double) % 1 = 0, coalesce(try_cast(value as bigint), try_cast(try_cast(value as double) as bigint)), null)
