-- The areas and years of which a file of parcels cannot be read, so that nobody can say which signatures count.
select aoi, year from unreadable
