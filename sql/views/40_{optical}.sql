-- Signatures of card {card}, one wide row per parcel and scene: {measured}.
-- {classes}: pixels of each scene class, {classes}[1] is class 0; share: the share of the whole parcel, 0 to 1, that was seen; observable: at least
-- 8 pixels and enough of the parcel, see is_observable().
create view {card} as
select * exclude (extraction, mask)
from {card}_rows
where mask is null
