-- How many interventions there are, and how many groups of unit amounts they have at most, at least and on average.
select
    count(*) as interv_cnt, max(groups) as max_ua_grp_per_interv, min(groups) as min_ua_grp_per_interv,
    avg(groups) as avg_ua_grp_per_interv
from (select interv, count(distinct ua_grp) as groups from interventions where interv is not null group by interv)
