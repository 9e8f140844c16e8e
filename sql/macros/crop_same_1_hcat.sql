-- same_hcat(one, other, digits): whether two codes of HCAT are the same crop by their first `digits`, see hcat_at(); null where one is less exact than
-- the other, is a remainder (other or unspecified, 98 and 99), or names a group of crops, as cereals or herbs, of which two different ones may grow.
create macro same_hcat(one, other, digits) as case
    when one is null or other is null or starts_with(one, '3399') or starts_with(other, '3399') then null
    when hcat_trimmed(hcat_at(one, digits)) = hcat_trimmed(hcat_at(other, digits)) then if(
        regexp_full_match(hcat_at(one, digits), '(\d\d)*(98|99)(00)*') or regexp_full_match(hcat_at(other, digits), '(\d\d)*(98|99)(00)*')
        or regexp_full_match(hcat_trimmed(hcat_at(one, digits)), '33(0[1346]?)?')
        or digits > 6 and regexp_full_match(
            hcat_trimmed(hcat_at(one, digits)),
            '3301(01|02|06|07|08|09|14|15|21|22|25|29|30|31)|3303(01|02|03|05|08|11|12)|330402|33010115(0[123])?|33010(612|902|903)'
        ),
        null, true
    )
    when starts_with(hcat_trimmed(hcat_at(one, digits)), hcat_trimmed(hcat_at(other, digits)))
        or starts_with(hcat_trimmed(hcat_at(other, digits)), hcat_trimmed(hcat_at(one, digits))) then null
    else false
end
