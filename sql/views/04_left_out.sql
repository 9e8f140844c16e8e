-- The scenes that somebody left out and nobody has put back since, with why, who and when: they are not extracted, their signatures do
-- not count in s2, bs and c6, and they supersede no other scene.
create table left_out as
select card, scene, why, who, decided
from exclusions
qualify row_number() over (partition by card, scene order by sequence desc nulls last, decided desc, status, who, why) = 1 and status = 'left out'
