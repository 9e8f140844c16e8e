-- How many groups of unit amounts there are, and how many unit amounts they have at most, at least and on average.
select
    count(*) as ua_grp_cnt, max(amounts) as max_ua_per_group, min(amounts) as min_ua_per_group,
    avg(amounts) as avg_ua_per_group
from (select ua_grp, count(distinct ua) as amounts from interventions where ua_grp is not null group by ua_grp)
