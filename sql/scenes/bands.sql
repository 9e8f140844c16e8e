-- Of which bands scenes of each card have rasters, superseded and left-out scenes aside.
select distinct card, band
from (
    select card, assets, unnest(json_keys(assets)) as band
    from (select card, to_json(assets) as assets from scenes where not superseded and left_out is null)
)
where json_type(assets, '$.' || band) <> 'NULL'
order by card, band
