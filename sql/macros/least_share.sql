-- least_share(): the share of a parcel, 0 to 1, that a scene must have seen so that what it saw stands for the parcel: 0.9. The mean of
-- nine tenths differs from that of the whole by at most a tenth of what separates the two parts.
create macro least_share() as 0.9::float
