-- The scenes that somebody left out and nobody has put back since: when they were taken, why they were left out, by whom and when.
select card, scene, obstime, why, who, decided
from left_out
left join (select card, id as scene, obstime from scenes) using (card, scene)
order by decided, card, scene
