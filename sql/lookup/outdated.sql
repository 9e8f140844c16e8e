-- Parcels of which not all signatures count that extractions wrote, since their outlines changed.
select distinct pid from outdated
