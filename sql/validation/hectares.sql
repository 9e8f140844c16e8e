-- hectares(value): a number as an exact decimal; null where it is no finite number, 1e19 or -1e19 where it is beyond that.
create macro hectares(value) as try_cast(
    case when isfinite(try_cast(value as double)) then greatest(least(try_cast(value as double), 1e19), -1e19) end as decimal(28, 8)
)
