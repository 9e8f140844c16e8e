-- For each Sentinel-2 scene extracted over $aoi, $year and $ptype, but those of $left_out: the median over parcels of how far a band's
-- mean lies from the median of the same parcel's two clear days before and two after (shift, DN), with the standard error of that
-- median (1.2533 x 1.4826 x MAD / sqrt(n)); how many parcels were compared; and by how much the darkest pixels (the 1 % quantile over
-- parcels of the smallest value, of the visible 10 m bands and of the red-edge and short-wave 20 m bands) are off those of the two
-- scenes before and two after.
-- Clear: observable, see is_observed(), and not clouded when the scene classes $screen are screened.
-- Where no pixel is classified it is taken for clear: a cloud on one of many parcels moves no median. One of $step parcels is taken.
-- Scenes that are suspect already are looked at, too: their signatures are set aside.
with counted as (
    select extraction, scene, hash(aoi, year, ptype, parcels) as outlines from chain
    where card = 's2' and (card, scene, aoi, year, ptype) not in (from superseded)
        and (card, scene) not in (select card, scene from left_out)
),
stored as (
    from signatures_s2
    union all by name (
        select distinct on (extraction, pid) *
        from (from aside_s2 where mask is null)
        semi join counted using (extraction)
        anti join (from signatures_s2 where mask is null) using (extraction, pid)
    )
),
clear as (
    select stored.*
    from stored
    join counted using (extraction, scene)
    anti join outdated using (outlines, pid)
    where mask is null and aoi = $aoi and year = $year and ptype = $ptype and hash(pid) % $step = 0 and scene not in (select unnest($left_out::varchar[]))
        and is_observable(s2_pixels(
            B02_count, B03_count, B04_count, B05_count, B06_count, B07_count, B08_count, B8A_count, B11_count, B12_count
        ), share)
        and sky_of(
            [scl_0, scl_1, scl_2, scl_3, scl_4, scl_5, scl_6, scl_7, scl_8, scl_9, scl_10, scl_11], $screen::integer[]
        ) <> 'cloudy'
),
residuals as (
    select
        scene, obstime, least(B02_min, B03_min, B04_min) as dark_ten, least(B05_min, B11_min, B12_min) as dark_twenty,
        B02_mean - median(B02_mean) over near as B02,
        B03_mean - median(B03_mean) over near as B03,
        B04_mean - median(B04_mean) over near as B04,
        B05_mean - median(B05_mean) over near as B05,
        B06_mean - median(B06_mean) over near as B06,
        B07_mean - median(B07_mean) over near as B07,
        B08_mean - median(B08_mean) over near as B08,
        B8A_mean - median(B8A_mean) over near as B8A,
        B11_mean - median(B11_mean) over near as B11,
        B12_mean - median(B12_mean) over near as B12
    from clear
    window near as (partition by pid order by obstime rows between 2 preceding and 2 following exclude current row)
),
floors as (
    select
        scene, ten - median(ten) over near as ten, twenty - median(twenty) over near as twenty
    from (
        select scene, min(obstime) as obstime, quantile_cont(dark_ten, 0.01) as ten, quantile_cont(dark_twenty, 0.01) as twenty
        from residuals group by scene
    )
    window near as (order by obstime, scene rows between 2 preceding and 2 following exclude current row)
)
select
    scene, min(obstime) as obstime, count(*) as compared, any_value(scenes.boa_offset) as boa_offset,
    any_value(floors.ten) as floor_ten,
    any_value(floors.twenty) as floor_twenty,
    median(B02) as b02_shift, 1.8582 * mad(B02) / sqrt(count(B02)) as b02_error,
    median(B03) as b03_shift, 1.8582 * mad(B03) / sqrt(count(B03)) as b03_error,
    median(B04) as b04_shift, 1.8582 * mad(B04) / sqrt(count(B04)) as b04_error,
    median(B05) as b05_shift, 1.8582 * mad(B05) / sqrt(count(B05)) as b05_error,
    median(B06) as b06_shift, 1.8582 * mad(B06) / sqrt(count(B06)) as b06_error,
    median(B07) as b07_shift, 1.8582 * mad(B07) / sqrt(count(B07)) as b07_error,
    median(B08) as b08_shift, 1.8582 * mad(B08) / sqrt(count(B08)) as b08_error,
    median(B8A) as b8a_shift, 1.8582 * mad(B8A) / sqrt(count(B8A)) as b8a_error,
    median(B11) as b11_shift, 1.8582 * mad(B11) / sqrt(count(B11)) as b11_error,
    median(B12) as b12_shift, 1.8582 * mad(B12) / sqrt(count(B12)) as b12_error
from residuals
left join floors using (scene)
left join (select id as scene, boa_offset from scenes where card = 's2') as scenes using (scene)
group by scene
order by obstime, scene
