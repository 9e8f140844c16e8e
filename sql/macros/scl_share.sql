-- share_of(scl, classes): the share, 0 to 1, of a parcel's classified pixels (SCL 1 to 11, and 0 where that is one of the classes) that are
-- of one of the classes; null where none is classified.
create macro share_of(scl, classes) as
    list_sum(list_transform(classes, lambda class: scl[class + 1]))
    / nullif(list_sum(scl[2:]) + if(list_contains(classes, 0), coalesce(scl[1], 0), 0), 0)
