-- Whether the declared crop grows on a parcel, by the last check of its set: verdict (agrees, disagrees, cannot say) with its reason,
-- the likely groups of crops, from when on it was so (since) and its rank among the doubtful ones. See cbm_lake.crops.check.
create view crop_checks as
select
    aoi::varchar as aoi, year::integer as year, ptype, pid, day, hcat, crop_group, size_class, verdict, reason, p_value,
    likely, probability, since, rank, fold, run, version
from checked_crops
