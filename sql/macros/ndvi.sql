-- ndvi(red, nir): normalised difference vegetation index (Rouse et al. 1974) of two reflectances or DN without offset.
create macro ndvi(red, nir) as (nir - red) / nullif(nir + red, 0)
