-- same_hcat(one, other, digits): whether two codes of HCAT are the same crop by their first `digits` (10: winter and spring apart, 8: crops, 6:
-- groups as cereals); null where one is less exact than the other, is a remainder (other or unspecified, 98 and 99), or names a group of
-- crops, as cereals, of which two different ones may grow.
create macro same_hcat(one, other, digits) as case
    when one is null or other is null or starts_with(one, '3399') or starts_with(other, '3399') then null
    when regexp_replace(one[:digits], '(00|98|99)+$', '') = regexp_replace(other[:digits], '(00|98|99)+$', '') then if(
        regexp_full_match(one[:digits], '(\d\d)*(98|99)(00)*') or regexp_full_match(other[:digits], '(\d\d)*(98|99)(00)*')
        or regexp_full_match(regexp_replace(one[:digits], '(00|98|99)+$', ''), '33(0[1346]?)?')
        or digits > 6 and regexp_full_match(
            regexp_replace(one[:digits], '(00|98|99)+$', ''), '3301(01|02|06|07|08|09|14|15|21|22|25|29|30|31)|3303(01|02|03|05|08|11)'
        ),
        null, true
    )
    when starts_with(regexp_replace(one[:digits], '(00|98|99)+$', ''), regexp_replace(other[:digits], '(00|98|99)+$', ''))
        or starts_with(regexp_replace(other[:digits], '(00|98|99)+$', ''), regexp_replace(one[:digits], '(00|98|99)+$', '')) then null
    else false
end
