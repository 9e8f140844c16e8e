-- Sentinel-1 backscatter in dB (10 log10 of the mean of linear power) and six-day coherence of parcel $pid of $aoi, $year and
-- $ptype by time.
select obstime, 'VV' as band, 'dB' as unit, 10 * log10(VV_mean) as value from bs
where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid and VV_mean > 0
union all by name
select obstime, 'VH' as band, 'dB' as unit, 10 * log10(VH_mean) as value from bs
where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid and VH_mean > 0
union all by name
select obstime, 'VV' as band, 'coherence' as unit, VV_mean as value from c6
where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid and VV_mean is not null
union all by name
select obstime, 'VH' as band, 'coherence' as unit, VH_mean as value from c6
where aoi = $aoi and year = $year and ptype = $ptype and pid = $pid and VH_mean is not null
order by unit desc, band desc, obstime
