-- is_usable(observable, unknown, clouded): whether the numbers of a look stand for the parcel: enough pixels and enough of it seen, and a
-- clear sky; a sky that is unknown is not clear. See observed_s2().
create macro is_usable(observable, unknown, clouded) as observable and not unknown and not clouded
