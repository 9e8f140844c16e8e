-- masked_classes(mask): the scene classes that the mask of a signature leaves out: [0, 3, 8] of 'SCL 3,8 dilated 1'; none of a mask that is not of
-- scene classes. Pixels of no class, 0, are always left out with those of others.
create macro masked_classes(mask) as
    list_transform(
        list_filter(string_split(regexp_replace(mask, '^\w+ ([0-9]+(,[0-9]+)*)( .*)?$', '0,\1'), ','), lambda class: try_cast(class as integer) is not null),
        lambda class: class::integer
    )
