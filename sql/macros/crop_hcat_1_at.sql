-- hcat_at(code, digits): the first `digits` of a code of HCAT (10: winter and spring apart, 8: crops, 6: groups as cereals); with 8 it is all ten among
-- herbs, grasses and green legumes, where the last two tell crops (mint, lavender) and not, as elsewhere, winter and spring.
create macro hcat_at(code, digits) as if(digits = 8 and regexp_full_match(code, '33010(612|902|903)\d*'), code, code[:digits])
