-- is_masked_beyond(mask): whether the mask of a signature is more than scene classes: dilated, or with another raster.
create macro is_masked_beyond(mask) as not regexp_full_match(mask, '\w+ [0-9]+(,[0-9]+)*')
