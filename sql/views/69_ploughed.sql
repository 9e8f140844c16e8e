-- ploughed_parcels(the_aoi, the_ptype, first_year, last_year, least): what the markers of these years say of ploughing: per year and parcel the first
-- ploughing of at least the confidence `least` (ploughed), the first less sure one (perhaps), the first sowing from ploughed on (sown), and whether
-- the parcel was seen on enough clear dates (observed). A parcel that is not among the rows was not looked at.
create macro ploughed_parcels(the_aoi, the_ptype, first_year, last_year, least) as table
select
    year as of_year, pid, coalesce(bool_or(observable) filter (marker = 'observed'), true) as observed,
    min(date_main) filter (marker = 'ploughing' and coalesce(confidence, 1) >= least) as ploughed,
    arg_min_null(confidence, date_main) filter (marker = 'ploughing' and coalesce(confidence, 1) >= least) as sureness,
    min(date_main) filter (marker = 'ploughing' and confidence < least) as perhaps,
    list_min(list_filter(list(date_main) filter (marker = 'sowing'), lambda one: one >= ploughed)) as sown
from markers
where aoi = the_aoi and ptype = the_ptype and year between first_year and last_year
group by all
