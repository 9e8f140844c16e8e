-- same_texts(one, other, common): whether two texts, names or codes of crops, are the same; null where one is missing, or where it is not
-- `common` to both years to write them so: equal numbers of two systems are not the same crop, and different words may be.
create macro same_texts(one, other, common) as if(coalesce(common, false), one = other, null)
