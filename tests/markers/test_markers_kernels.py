"""What the kernels of the markers find: tables worked out by pencil, brute force, and odd series of every kind."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbm_lake.markers import kernels, peers, radar, smoothing, work
from cbm_lake.markers.parameters import read
from cbm_lake.markers.series import Series, clean, ragged

START, MAIN, END, VALUE_1, VALUE_2, VALUE_3, SURE = range(7)
CUT = {"first": 0, "last": 400, "drop": 0.12, "high": 0.5, "window": 25, "regain": 0.4, "regrowth": 45, "apart": 30}


def ragged_of(*parcels):
    """Offsets, days and values of parcels given as [(day, value), …]."""
    offsets = np.cumsum([0, *map(len, parcels)]).astype(np.int64)
    flat = np.array([pair for parcel in parcels for pair in parcel], float).reshape(-1, 2)
    return offsets, flat[:, 0].astype(np.int32), flat[:, 1].astype(np.float32)


def events(found):
    """The rows that count, parcel by parcel."""
    rows, count = found
    return [rows[parcel, : count[parcel]] for parcel in range(len(count))]


def falls(*parcels, **changed):
    return events(kernels.falls(*ragged_of(*parcels), *(CUT | changed).values()))


day_and_value = st.lists(
    st.tuples(st.integers(0, 365), st.floats(-0.25, 1.0, width=32)), max_size=40, unique_by=lambda pair: pair[0]
).map(sorted)
many = st.lists(day_and_value, min_size=1, max_size=5)


# -- mowing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param([(0, 0.8), (10, 0.5), (20, 0.7)], [(0, 5, 10, 0.3, 2 / 3)], id="cut and regrown"),
        pytest.param([(0, 0.8), (10, 0.5), (20, 0.55)], [], id="comes back too little: harvested or ploughed"),
        pytest.param([(0, 0.8), (10, 0.5)], [(0, 5, 10, 0.3, None)], id="what came after was not seen"),
        pytest.param([(0, 0.8), (10, 0.5), (60, 0.8)], [(0, 5, 10, 0.3, None)], id="seen again too late"),
        pytest.param([(0, 0.8), (10, 0.69), (20, 0.8)], [], id="0.11 is too small a fall"),
        pytest.param([(0, 0.49), (10, 0.2), (20, 0.45)], [], id="nothing tall stood there"),
        pytest.param(
            [(0, 0.9), (5, 0.88), (10, 0.5), (15, 0.45), (25, 0.8)],
            [(5, 7.5, 10, 0.45, 7 / 9)],
            id="the steepest step dates it",
        ),
        pytest.param([(0, 0.7), (20, 0.6), (40, 0.5), (60, 0.7)], [], id="a slow fall is none: 0.1 within 25 days"),
        pytest.param(
            [(0, 0.8), (5, 0.5), (15, 0.75), (20, 0.35), (40, 0.7)],
            [(15, 17.5, 20, 0.4, 0.875)],
            id="of two within 30 days the deeper",
        ),
        pytest.param(
            [(0, 0.8), (10, 0.5), (30, 0.8), (45, 0.5), (60, 0.8)],
            [(0, 5, 10, 0.3, 1), (30, 37.5, 45, 0.3, 1)],
            id="two cuts",
        ),
        pytest.param([], [], id="never seen"),
        pytest.param([(3, 0.8)], [], id="seen once"),
        pytest.param([(day, 0.6) for day in range(0, 100, 5)], [], id="constant"),
    ],
)
def test_a_fall_that_recovers_is_a_cut(series, expected):
    (found,) = falls(series)
    assert len(found) == len(expected)
    for event, (start, main, end, fall, back) in zip(found, expected, strict=True):
        assert (event[START], event[MAIN], event[END]) == (start, main, end)
        assert event[VALUE_1] == pytest.approx(fall, abs=1e-6)
        assert np.isnan(event[VALUE_2]) if back is None else event[VALUE_2] == pytest.approx(back, abs=1e-5)


def test_what_was_not_seen_to_recover_is_less_sure():
    (seen,), (unseen,) = falls([(0, 0.8), (10, 0.5), (20, 0.7)], [(0, 0.8), (10, 0.5)])
    assert unseen[SURE] == pytest.approx(0.7 * seen[SURE])


def test_a_fall_outside_the_season_is_left_out():
    series = [(0, 0.8), (10, 0.5), (20, 0.7)]
    assert not len(falls(series, first=6)[0])
    assert not len(falls(series, last=4)[0])
    assert len(falls(series, first=5, last=5)[0]) == 1


def test_a_deeper_fall_is_surer():
    (one,), (two,) = falls([(0, 0.8), (10, 0.68), (20, 0.8)], [(0, 0.8), (10, 0.56), (20, 0.8)])
    assert one[SURE] == pytest.approx(0.5, abs=1e-4)
    assert two[SURE] == pytest.approx(0.75, abs=1e-4)


@settings(max_examples=200, deadline=None)
@given(many)
def test_cuts_keep_the_rules_whatever_the_series(parcels):
    for series, found in zip(parcels, falls(*parcels), strict=True):
        days = dict(series)
        for event in found:
            assert event[START] in days
            assert event[END] in days
            assert event[START] < event[MAIN] < event[END]
            assert not any(event[START] < day < event[END] for day in days)
            assert event[VALUE_1] >= 0.12
            assert not event[VALUE_2] < 0.4
            assert 0.35 <= event[SURE] < 1
        assert (np.diff(found[:, MAIN]) >= 30).all()


@settings(max_examples=100, deadline=None)
@given(many)
def test_a_parcel_is_found_alike_alone_and_among_others(parcels):
    for series, among in zip(parcels, falls(*parcels), strict=True):
        np.testing.assert_array_equal(falls(series)[0], among)


# -- periods and extremes ----------------------------------------------------------------------------------------------


def test_a_period_begins_and_ends_where_the_line_crosses_the_bound():
    offsets, day, value = ragged_of([(0, 0.2), (10, 0.4), (20, 0.6), (40, 0.2)])
    ((event,),) = events(kernels.runs(offsets, day, value, 0.35, np.inf, 10))
    assert event[START] == pytest.approx(7.5, abs=1e-4)
    assert event[MAIN] == 20
    assert event[END] == pytest.approx(32.5, abs=1e-4)
    assert event[VALUE_1] == pytest.approx(0.6)
    assert event[VALUE_2] == pytest.approx(0.5)
    assert event[VALUE_3] == 2
    assert event[SURE] == pytest.approx(2 / 3)


@settings(max_examples=200, deadline=None)
@given(many, st.floats(0, 0.8))
def test_periods_are_those_of_brute_force(parcels, low):
    low = float(np.float32(low))
    found = events(kernels.runs(*ragged_of(*parcels), low, np.inf, 0))
    for series, mine in zip(parcels, found, strict=True):
        groups = [list(group) for inside, group in itertools.groupby(series, lambda p: p[1] >= low) if inside]
        assert len(mine) == min(len(groups), kernels.MOST)
        for event, group in zip(mine, groups, strict=False):
            assert event[START] <= group[0][0]
            assert event[END] >= group[-1][0]
            assert event[VALUE_3] == len(group)
            assert event[VALUE_1] == pytest.approx(max(value for _, value in group))
            assert event[VALUE_2] == pytest.approx(np.mean([value for _, value in group]), abs=1e-6)


@settings(deadline=None)  # the first call compiles
@given(many)
def test_the_largest_value_is_that_of_numpy(parcels):
    found = events(kernels.extremes(*ragged_of(*parcels)))
    for series, mine in zip(parcels, found, strict=True):
        assert len(mine) == (1 if series else 0)
        if series:
            assert (mine[0, MAIN], mine[0, VALUE_1]) == max(series, key=lambda pair: pair[1])


@settings(deadline=None)
@given(many)
def test_medians_and_gaps_are_those_of_numpy(parcels):
    offsets, day, value = ragged_of(*parcels)
    medians, gaps = kernels.medians(offsets, value), kernels.longest_gap(offsets, day, 0, 365)
    for series, median, gap in zip(parcels, medians, gaps, strict=True):
        assert np.isnan(median) if not series else median == pytest.approx(np.median([v for _, v in series]), abs=1e-6)
        assert gap == np.diff([0, *(d for d, _ in series), 365]).max()


def test_medians_leave_out_what_is_not_a_number():
    value = np.array([np.nan, 1, 3, np.nan], np.float32)
    np.testing.assert_array_equal(kernels.medians(np.array([0, 3, 4]), value), np.array([2, np.nan], np.float32))


@pytest.mark.parametrize(
    ("series", "kept"),
    [
        pytest.param([(0, 0.8), (3, 0.5), (6, 0.8)], [0, 6], id="back at once: a cloud"),
        pytest.param([(0, 0.8), (3, 0.5), (6, 0.6)], [0, 3, 6], id="comes back slowly: cut"),
        pytest.param([(0, 0.8), (3, 0.5), (10, 0.8)], [0, 3, 10], id="back after a week"),
        pytest.param([(0, 0.8), (3, 0.75), (6, 0.8)], [0, 3, 6], id="too small to matter"),
        pytest.param([(0, 0.8), (3, 0.05), (10, 0.7)], [0, 10], id="no land is so low"),
        pytest.param([(0, 0.5), (3, 0.8)], [0, 3], id="the ends stay"),
    ],
)
def test_low_spikes_are_left_out(series, kept):
    chosen = read()
    raw = Series(*ragged_of(series))
    assert list(raw.take(clean(raw, chosen.clear, chosen.spike)).day) == kept


# -- coherence and work on arable land ---------------------------------------------------------------------------------


def brute_rises(series, samples, factor, floor, least, before):
    """All values that stand out, by numpy's fit of a line."""
    day, value = np.array(series, float).T if series else (np.array([]), np.array([]))
    for place in range(samples, len(day)):
        x, y = day[place - samples : place], value[place - samples : place]
        line = np.polyfit(x - x[-1], y, 1)
        rise = value[place] - line[1]
        deviation = max((y - np.polyval(line, x - x[-1])).std(), floor)
        if rise >= least and rise / deviation > factor:
            yield day[place - 1] - before, rise, rise / deviation


def test_rises_are_those_of_brute_force():
    rng = np.random.default_rng(5)
    parcels = []
    for _ in range(40):
        value = 0.3 + 0.02 * rng.standard_normal(30)
        value[rng.integers(6, 30)] += 0.3
        parcels.append([(6 * n, v) for n, v in enumerate(value.astype(np.float32))])
    found = events(radar.rises(*ragged_of(*parcels), 5, 5.0, 0.024, 0.1, 6))
    for series, mine in zip(parcels, found, strict=True):
        expected = list(brute_rises(series, 5, 5.0, 0.024, 0.1, 6))
        assert [event[START] for event in mine] == [start for start, _, _ in expected]
        np.testing.assert_allclose(mine[:, VALUE_1], [rise for _, rise, _ in expected], atol=1e-5)
        np.testing.assert_allclose(mine[:, VALUE_2], [times for _, _, times in expected], rtol=1e-3)


def test_a_dip_of_coherence_is_dated_by_the_days_that_its_image_covers():
    series = [(6 * n, 0.7) for n in range(12)]
    series[6] = (36, 0.2)
    ((event,),) = events(radar.dips(*ragged_of(series), 0.2, 30, 6))
    assert tuple(event[:3]) == (30, 33, 36)
    assert event[VALUE_3] == pytest.approx(0.5)
    assert np.isnan(event[VALUE_1])


def test_two_orbits_that_see_one_dip_give_one_event_the_deeper():
    series = [(3 * n, 0.7) for n in range(24)]
    series[10], series[11] = (30, 0.4), (33, 0.2)
    ((event,),) = events(radar.dips(*ragged_of(series), 0.2, 30, 6))
    assert event[END] == 33


def test_a_rise_confirms_a_cut_near_it_and_no_other():
    rows, count = kernels.falls(
        *ragged_of([(0, 0.8), (10, 0.5), (20, 0.7)], [(0, 0.8), (10, 0.5), (20, 0.7)]), *CUT.values()
    )
    others = np.full((2, 1, 7), np.nan)
    others[0, 0, :4], others[1, 0, :4] = (15, 18, 21, 0.2), (40, 43, 46, 0.2)
    sure = rows[0, 0, SURE]
    both = radar.confirm(rows, count, others, np.array([1, 1]), 12)
    assert both[:, 0].tolist() == [True, False]
    assert rows[0, 0, VALUE_3] == pytest.approx(0.2)
    assert rows[0, 0, SURE] == pytest.approx(1 - (1 - sure) / 2)
    assert rows[1, 0, SURE] == sure


GREEN_THEN_STUBBLE = [(0, 0.2), (40, 0.4), (80, 0.8), (100, 0.5), (110, 0.3), (140, 0.25), (180, 0.2), (190, 0.15)]


def harvested(series, dips=()):
    every = ragged_of(series)
    green = kernels.runs(*every, 0.35, np.inf, 10)
    rows = np.full((1, max(len(dips), 1), 7), np.nan)
    for number, dip in enumerate(dips):
        rows[0, number] = (dip - 3, dip, dip + 3, np.nan, np.nan, 0.4, 0.8)
    return events(work.harvests(*every, *green, rows, np.array([len(dips)]), 0.5, 0.3, 30, 45))[0]


def test_a_harvest_ends_a_vegetation_period():
    (event,) = harvested(GREEN_THEN_STUBBLE)
    assert (event[START], event[END]) == (100, 110)
    assert event[MAIN] == pytest.approx(107.5, abs=1e-3)
    assert event[VALUE_1] == pytest.approx(0.55)
    assert event[VALUE_2] == pytest.approx(0.25)
    assert np.isnan(event[VALUE_3])


def test_a_dip_of_coherence_dates_the_harvest():
    (event,) = harvested(GREEN_THEN_STUBBLE, dips=[50, 125, 140])
    assert tuple(event[:3]) == (122, 125, 128)
    assert event[VALUE_3] == pytest.approx(0.4)


def test_what_grows_again_within_a_month_was_not_harvested():
    assert not len(harvested([(0, 0.8), (10, 0.3), (20, 0.5), (30, 0.8)]))


def test_what_is_still_green_was_not_harvested():
    assert not len(harvested(GREEN_THEN_STUBBLE[:4]))


def test_bare_soil_is_ploughed_when_it_lasts():
    every = ragged_of(
        [(0, 0.35), (10, 0.15), (20, 0.15), (41, 0.5)],
        [(0, 0.35), (10, 0.15), (20, 0.3), (40, 0.4)],
        [(0, 0.35), (10, 0.15)],
    )
    lasting, short, unseen = events(work.bared(*every, 0.2, 0.1, 0.35, 30, 15.0))
    assert tuple(lasting[0, :3]) == (0, 5, 10)
    assert not len(short)
    assert unseen[0, SURE] == pytest.approx(0.7 * lasting[0, SURE])


def test_events_outside_a_season_are_left_out():
    rows = np.full((1, 3, 7), np.nan)
    rows[0, :, MAIN] = 10, 20, 30
    (kept,) = events(work.between(rows, np.array([3]), 20, 30))
    assert list(kept[:, MAIN]) == [20, 30]


def test_the_last_dip_before_vegetation_is_sowing_and_the_one_of_a_harvest_neither():
    green, harvest, dips = (np.full((1, 12, 7), np.nan) for _ in range(3))
    green[0, 0, :3] = 120, 160, 200
    harvest[0, 0, :3] = 205, 208, 211
    for number, dip in enumerate((60, 100, 150, 208, 240)):
        dips[0, number] = dip - 3, dip, dip + 3, np.nan, np.nan, 0.3, 0.7
    one, many = np.array([1]), np.array([5])
    sown, sown_count, ploughed, count = work.tilled(green, one, harvest, one, dips, many, 80)
    assert [event[MAIN] for event in events((sown, sown_count))[0]] == [100]
    assert [event[MAIN] for event in events((ploughed, count))[0]] == [60, 240]


@pytest.mark.parametrize(
    ("day", "kind"), [(119, "sown"), (40, "sown"), (39, "ploughed"), (150, None), (201, "ploughed")]
)
def test_a_dip_is_sowing_in_the_80_days_before_vegetation_and_nothing_within_it(day, kind):
    green, dips = (np.full((1, 12, 7), np.nan) for _ in range(2))
    green[0, 0, :3] = 120, 160, 200
    dips[0, 0] = day - 3, day, day + 3, np.nan, np.nan, 0.3, 0.7
    none, one = np.array([0]), np.array([1])
    *_, sown, _, ploughed = work.tilled(green, one, green, none, dips, one, 80)
    assert {"sown": sown[0], "ploughed": ploughed[0]} == {"sown": kind == "sown", "ploughed": kind == "ploughed"}


def test_two_signs_of_one_work_are_one_event_with_the_narrower_bounds():
    optical, dips = np.full((1, 3, 7), np.nan), np.full((1, 3, 7), np.nan)
    optical[0, 0] = 100, 130, 160, 0.2, 0.15, np.nan, 0.6
    dips[0, 0] = 150, 153, 156, np.nan, np.nan, 0.4, 0.8
    dips[0, 1] = 250, 253, 256, np.nan, np.nan, 0.3, 0.7
    first, second = events(work.joined(optical, np.array([1]), dips, np.array([2]), 15.0))[0]
    np.testing.assert_allclose(first, (150, 153, 156, 0.2, 0.15, 0.4, 0.92))
    np.testing.assert_allclose(second[[0, 1, 2, 5]], (250, 253, 256, 0.3))


# -- smoothing, season, peers ------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1000))
def test_the_smooth_curve_solves_the_equations_of_eilers(seed, smoothness):
    rng = np.random.default_rng(seed)
    values, weights = rng.random((4, 20)), rng.integers(0, 3, (4, 20)).astype(float)
    weights[:, [0, 9, 19]] += 1
    found = smoothing.whittaker(values, weights, smoothness)
    difference = np.diff(np.eye(20), 2, axis=0)
    for curve, y, w in zip(found, values, weights, strict=True):
        expected = np.linalg.solve(np.diag(w) + smoothness * difference.T @ difference, w * y)
        np.testing.assert_allclose(curve, expected, atol=1e-7)


def test_a_straight_line_with_gaps_is_filled_with_that_line():
    smooth = read().smooth
    series = Series(*ragged_of([(day, 0.2 + 0.002 * day) for day in (2, 12, 17, 62, 97)], [(2, 0.5), (7, 0.5)], []))
    found = smoothing.curves(series, 0, 99, smooth)
    np.testing.assert_allclose(found.value[0], 0.2 + 0.002 * found.day, atol=1e-5)
    assert found.observed[0].sum() == 5
    assert np.isnan(found.value[1:]).all()


def test_nothing_is_told_before_the_first_and_after_the_last_value():
    series = Series(*ragged_of([(22, 0.3), (47, 0.5), (72, 0.4)]))
    found = smoothing.curves(series, 0, 99, read().smooth)
    np.testing.assert_array_equal(~np.isnan(found.value[0]), (found.day >= 22) & (found.day <= 72))


def test_the_season_begins_at_a_quarter_and_ends_at_15_percent_of_the_amplitude():
    smooth = read().smooth
    day = np.arange(2, 300, 5)
    value = np.interp(day, [2, 50, 150, 250, 297], [0.2, 0.2, 0.8, 0.4, 0.4])[None]
    found = smoothing.seasons(smoothing.Curves(day, value, np.ones_like(value, bool)), smooth)
    assert found["start"][0] == pytest.approx(50 + 0.25 * 100, abs=1)
    assert found["peak"][0] == pytest.approx(150, abs=5)
    assert found["end"][0] == pytest.approx(250 - 0.15 * 100, abs=1)
    assert found["peak_ndvi"][0] == pytest.approx(0.8, abs=0.02)
    assert found["base_ndvi"][0] == pytest.approx(0.3)


def test_a_flat_curve_has_no_season():
    day = np.arange(2, 300, 5)
    flat = np.stack([np.full(60, 0.5), np.full(60, np.nan)])
    found = smoothing.seasons(smoothing.Curves(day, flat, ~np.isnan(flat)), read().smooth)
    assert all(np.isnan(column).all() for column in found.values())


def test_a_season_that_was_under_way_has_no_start_and_one_that_goes_on_no_end():
    day = np.arange(2, 300, 5)
    value = np.stack([np.interp(day, [0, 300], [0.9, 0.2]), np.interp(day, [0, 300], [0.2, 0.9])])
    found = smoothing.seasons(smoothing.Curves(day, value, np.ones_like(value, bool)), read().smooth)
    np.testing.assert_array_equal(np.isnan(found["start"]), [True, False])
    np.testing.assert_array_equal(np.isnan(found["end"]), [False, True])


def test_parcels_compare_with_their_crop_as_by_brute_force():
    rng = np.random.default_rng(3)
    curves = rng.random((60, 15))
    curves[rng.random((60, 15)) < 0.2] = np.nan
    declared = np.array([None, "wheat", "maize", "rare"], object)[np.r_[rng.integers(0, 3, 58), 3, 3]]
    usable = rng.random(60) < 0.9
    found = peers.compare(curves, declared, usable, 5)
    assert list(found.crops) == ["maize", "wheat"]
    medians = {crop: np.nanmedian(curves[usable & (declared == crop)], axis=0) for crop in found.crops}
    for parcel in range(60):
        crop = declared[parcel]
        if not usable[parcel] or crop not in medians:
            assert np.isnan(found.distance[parcel])
            assert found.nearest[parcel] == found.members[parcel] == -1
            continue
        known = ~np.isnan(curves[parcel])
        away = {name: np.sqrt(np.mean((curves[parcel] - held)[known] ** 2)) for name, held in medians.items()}
        assert found.distance[parcel] == pytest.approx(away[crop])
        assert found.crops[found.nearest[parcel]] == min(away, key=away.get)
        other = away["maize" if crop == "wheat" else "wheat"]
        assert found.margin[parcel] == pytest.approx(other / (other + away[crop]))
        expected = np.corrcoef(curves[parcel][known], medians[crop][known])[0, 1]
        assert found.correlation[parcel] == pytest.approx(expected)
        alike = found.distance[usable & (declared == crop)]
        assert found.rank[parcel] == 1 + (alike > found.distance[parcel]).sum()
        spread = np.median(np.abs(alike - np.median(alike)))
        assert found.score[parcel] == pytest.approx(0.6745 * (found.distance[parcel] - np.median(alike)) / spread)


def test_without_a_crop_of_enough_parcels_nothing_is_compared():
    found = peers.compare(np.ones((3, 4)), np.array(["a", "b", None], object), np.ones(3, bool), 2)
    assert not len(found.crops)
    assert (found.nearest == -1).all()


def test_rows_become_ragged_with_parcels_that_have_none():
    import pyarrow as pa

    rows = pa.table({"place": [1, 1, 3], "day": [5, 6, 7], "ndvi": [0.1, 0.2, 0.3]})
    found = ragged(rows, 5, "ndvi")
    assert found.count.tolist() == [0, 2, 0, 1, 0]
    assert found.owner.tolist() == [1, 1, 3]
