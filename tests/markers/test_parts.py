"""Parts of parcels that were mown while the rest was not: planted, found, outlined, and said why not."""

import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
import two_tiles
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from shapely import affinity
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # benchmarks are no part of what is installed

from benchmarks import parts as truth
from cbm_lake import markers
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.markers.parameters import read
from cbm_lake.markers.parts import ALIKE, NO_CUBE, _named, _states, in_words
from cbm_lake.markers.subparcel import edges, events, lines, outlines, pixels, steps
from cbm_lake.zonal import build_index
from cbm_lake.zonal.compiled import frozen

pytestmark = pytest.mark.thorough


HOW = events._how(read().parts)


def searched(fields, seed=1, noise=0.015):
    """The pids of fields in whose pixels the search sees an event, without a lake."""
    fields, width = truth.placed(fields)
    images = np.array(list(truth.ndvi(fields, width, np.random.default_rng(seed), noise)), np.float32)
    cores = [each.geometry.buffer(-5) for each in fields]
    index = build_index(cores, Affine(10, 0, truth.LEFT, 0, -10, truth.TOP), (width, width))
    rows = np.repeat(index.row, index.length).astype(np.int32)
    spans = zip(index.col, index.length, strict=True)
    cols = np.concatenate([np.arange(col, col + length) for col, length in spans]).astype(np.int32)
    fields_found, labels = searched_pixels(images[:, rows, cols], index.pixel_offsets, rows, cols)[:2]
    assert labels.shape == (steps.MOST, len(rows))
    return {each.pid for each, found in zip(fields, fields_found, strict=True) if np.isfinite(found[0, 0])}


def searched_pixels(ndvi, offsets, rows, cols, days=None):
    """What the kernel fills in: fields, labels, looks."""
    found = np.full((len(offsets) - 1, steps.MOST, len(steps.FIELDS)), np.nan)
    labels, looks = np.full((steps.MOST, len(rows)), -1, np.int8), np.zeros(len(offsets) - 1, np.int64)
    days = np.arange(len(ndvi)) * 8 if days is None else days
    inputs = [frozen(a) for a in (ndvi.astype(np.float32), np.asarray(days, np.int64), offsets, rows, cols)]
    steps.search(*inputs, HOW, found, labels, looks)
    return found, labels, looks


def square(side):
    """Rows and columns of a square of pixels."""
    rows, cols = np.indices((side, side)).reshape(2, -1).astype(np.int32)
    return rows, cols


def looks_of(*levels, side=10, noise=0.01):
    """NDVI of a square on some dates: a number for all, or one for the left half and one for the right."""
    _, cols = square(side)
    rng = np.random.default_rng(2)
    series = [np.where(cols < side / 2, *(level if isinstance(level, tuple) else (level, level))) for level in levels]
    return np.array(series) + rng.normal(0, noise, (len(levels), side * side))


def event_of(ndvi, days=None):
    side = round(ndvi.shape[1] ** 0.5)
    found, labels, looks = searched_pixels(ndvi, np.array([0, side * side], np.int64), *square(side), days)
    return dict(zip(steps.FIELDS, found[0, 0], strict=True)), labels[0], int(looks[0])


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A lake with planted parts in parcels of 0.3 and 1 ha, what was planted, and what was found."""
    rng = np.random.default_rng(4)
    fields = [*truth.fields(0.3, 30, rng), *truth.fields(1, 10, rng)]
    lake = truth.make(tmp_path_factory.mktemp("planted") / "data", fields)
    return lake, {each.pid: each for each in truth.placed(fields)[0]}, markers.parts(truth.AOI, truth.YEAR, lake=lake)


def parts_of(found):
    return found.filter(found["reason"].is_null())


# -- found, and not found ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hectares", ["0.3 ", "1 "])
def test_planted_parts_are_found_and_their_areas_are_right_to_a_tenth(planted, hectares):
    _, there, found = planted
    mown = {pid: each.mown for pid, each in there.items() if "part" in pid and pid.startswith(hectares)}
    rows = truth.compared(found, mown)
    assert len(rows) >= 10
    assert rows.found.mean() >= 0.9
    assert (rows.area.dropna().abs() <= 0.1).mean() >= 0.9
    assert rows.shared[rows.found].min() > 0.8


def test_dates_states_and_areas_of_a_part_are_told(planted):
    _, there, found = planted
    pid = next(pid for pid in parts_of(found)["pid"].to_pylist() if "1 part" in pid)
    mown, rest = (row for row in parts_of(found).to_pylist() if row["pid"] == pid)
    assert (mown["state"], mown["part"], rest["state"], rest["part"]) == ("mown", 1, "unmown", 2)
    assert mown["date_start"] <= truth.START.date() + timedelta(truth.STEP * (truth.MOWN - 1)) < mown["date_end"]
    assert mown["date_start"] < mown["date_main"] < mown["date_end"]
    assert mown["marker"] == "mowing"
    assert mown["area_m2"] + rest["area_m2"] == pytest.approx(there[pid].geometry.area)
    assert mown["share"] + rest["share"] == pytest.approx(1)
    assert mown["change"] < -0.2 < rest["change"]
    assert 0 < mown["area_std_m2"] < 0.1 * mown["area_m2"]
    assert mown["epsg"] == truth.EPSG


def test_parts_of_a_parcel_are_valid_do_not_overlap_and_together_are_the_parcel(planted):
    _, there, found = planted
    rows = parts_of(found).to_pandas()
    assert len(rows) > 20
    for (pid, _), event in rows.groupby(["pid", "date_start"]):
        shapes = shapely.from_wkb(event.geometry.to_numpy())
        assert shapely.is_valid(shapes).all()
        assert shapely.union_all(shapes).symmetric_difference(there[pid].geometry).area < 1e-6
        assert shapes[0].intersection(shapely.union_all(shapes[1:])).area < 1e-6


def test_no_parcel_is_divided_that_was_mown_whole_or_dried_out_or_where_nothing_happened(planted):
    _, there, found = planted
    divided = set(parts_of(found)["pid"].to_pylist())
    assert not divided & {pid for pid, each in there.items() if each.happened in truth.OTHERS}
    rows = [row for row in found.to_pylist() if row["pid"] not in divided]
    assert {row["reason"] for row in rows} == {ALIKE}
    assert all(row["state"] is row["geometry"] is row["area_m2"] is None for row in rows)


def test_less_than_one_of_a_hundred_parcels_is_divided_falsely_whatever_its_noise():
    wrong = total = 0
    for seed, (hectares, noise) in enumerate([(0.3, 0.01), (0.3, 0.03), (0.6, 0.02), (1.5, 0.03)]):
        fields = [each for each in truth.fields(hectares, 50, np.random.default_rng(seed)) if " part " not in each.pid]
        wrong += len(searched(fields, seed, noise))
        total += len(fields)
    assert total >= 500
    assert wrong <= total // 100


def test_a_part_that_did_not_grow_with_the_rest_in_a_long_gap_was_cut_in_between():
    event, labels, _ = event_of(looks_of(0.5, (0.48, 0.8), (0.5, 0.8)), [0, 40, 50])
    assert (event["before"], event["after"], event["confirmed"]) == (0, 1, 1)
    assert (labels.reshape(10, 10) == [1] * 5 + [0] * 5).all()


@pytest.mark.parametrize(
    "levels",
    [
        (0.8, (0.4, 0.8), 0.8),  # a shadow that no class names: the next look sees nothing of it
        (0.8, (0.4, 0.5), 0.45),  # all was mown, and stands at two heights
        (0.8, 0.8, 0.8),
        (0.8, 0.4, 0.4),
    ],
)
def test_what_is_no_event_on_a_part_is_none(levels):
    assert np.isnan(event_of(looks_of(*levels))[0]["before"])


def test_halves_mown_one_after_the_other_are_two_events():
    ndvi = looks_of(0.8, (0.4, 0.8), (0.45, 0.4), (0.5, 0.5))
    found, labels, _ = searched_pixels(ndvi, np.array([0, 100], np.int64), *square(10))
    assert np.isfinite(found[0, :, 0]).sum() == 2
    assert (labels[0] == 1 - labels[1]).all()


# -- the kernels against other ways ------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
def test_a_surface_leaves_what_least_squares_of_numpy_leave(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(7, 60))
    y, x, values = rng.integers(0, 9, n).astype(float), rng.integers(0, 9, n).astype(float), rng.normal(size=n)
    terms = np.column_stack([np.ones(n), y, x, y * y, x * y, x * x])
    rest = values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    assert edges.surface(values, y - y.mean(), x - x.mean()) == pytest.approx((rest**2).sum(), rel=1e-6, abs=1e-9)


@given(st.floats(-1.5, 1.5), st.floats(0, 2 * np.pi))
def test_the_share_of_a_pixel_beyond_a_line_is_its_area(inside, angle):
    pixel = affinity.scale(shapely.box(-0.5, -0.5, 0.5, 0.5), lines._BLUR, lines._BLUR)
    near = affinity.rotate(shapely.box(-9, -9, inside, 9), angle, origin=(0, 0), use_radians=True)
    share = lines.share_of(inside, np.cos(angle), np.sin(angle))
    assert share == pytest.approx(pixel.intersection(near).area / pixel.area, abs=1e-6)


@given(st.floats(0, np.pi), st.floats(-2, 2), st.integers(0, 1000))
def test_a_straight_edge_is_located_within_a_tenth_of_a_pixel(angle, off, seed):
    rows, cols = square(9)
    normal = np.array([np.cos(angle), np.sin(angle)])
    distance = 4 * normal.sum() + off
    half = affinity.translate(
        affinity.rotate(shapely.box(-99, -99, 0, 99), angle, origin=(0, 0), use_radians=True), *(distance * normal)
    )
    pixels = shapely.box(cols - 0.5, rows - 0.5, cols + 0.5, rows + 0.5)
    share = shapely.area(shapely.intersection(pixels, half))
    change = -0.4 * share + np.random.default_rng(seed).normal(0, 0.005, len(share))
    found = lines.fit(rows.astype(float), cols.astype(float), change)
    at = found[1] - 4 * np.cos(found[0]) - 4 * np.sin(found[0])
    turned = np.cos(found[0] - angle)  # the normal may point either way
    assert abs(turned) > np.cos(0.06)
    assert at * np.sign(turned) == pytest.approx(off, abs=0.1)


def test_the_threshold_is_that_of_the_greatest_variance_between_classes():
    rng = np.random.default_rng(3)
    change = np.concatenate([rng.normal(-0.3, 0.05, 30), rng.normal(0, 0.05, 50)])
    labels = np.full(80, -1, np.int8)
    assert steps._split(change, HOW, labels)
    ordered = np.sort(change)
    between = {k: k * (80 - k) * (ordered[:k].mean() - ordered[k:].mean()) ** 2 for k in range(5, 76)}
    best = max(between, key=between.get)
    assert labels.sum() == best


# -- outlines ----------------------------------------------------------------------------------------------------------


@st.composite
def outlines_and_lines(draw):
    """A parcel, perhaps concave, with a hole or in two pieces; lines across it; and pixels of two classes."""
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 12)))
    radii = rng.uniform(40, 100, len(angles))
    star = shapely.Polygon(np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])).buffer(0)
    parcel = star - shapely.Point(0, 0).buffer(10) if rng.uniform() < 0.4 else star
    parcel = parcel | shapely.box(150, 0, 200, 60) if rng.uniform() < 0.3 else parcel
    parcel = affinity.translate(parcel, 500_000.123, 4_800_000.456)
    ends = rng.uniform(-150, 250, (int(rng.integers(1, 4)), 3, 2)) + np.array([500_000, 4_800_000])
    x, y = np.meshgrid(np.arange(-100, 210, 10.0), np.arange(-100, 110, 10.0))
    places = np.column_stack([x.ravel() + 500_000, y.ravel() + 4_800_000])
    places = places[shapely.contains_xy(parcel, places)]
    edge = rng.uniform(-50, 100) + 500_000
    return parcel, np.array([shapely.LineString(end) for end in ends]), places, (places[:, 0] < edge).astype(np.int8)


@given(outlines_and_lines())
def test_whatever_the_lines_parts_are_valid_do_not_overlap_and_together_are_the_parcel(drawn):
    parcel, cuts, places, labels = drawn
    if not len(places):
        return
    parts = outlines.parts(parcel, cuts, places, labels, 500, lambda shape: shape)
    if not parts:
        return
    shapes = np.array([part.geometry for part in parts])
    assert shapely.is_valid(shapes).all()
    assert {part.fell for part in parts} == {True, False}
    assert sum(part.area for part in parts) == pytest.approx(parcel.area, abs=1e-5)
    assert shapely.union_all(shapes).symmetric_difference(parcel).area < 1e-5
    outside = shapely.get_coordinates(parcel)
    assert set(map(tuple, outside)) <= {tuple(xy) for xy in shapely.get_coordinates(shapes)}


# -- in a lake ---------------------------------------------------------------------------------------------------------


def test_parts_are_in_the_lake_and_a_search_of_some_parcels_replaces_theirs_alone(planted):
    lake, _, found = planted
    count = found.num_rows
    stored = lake.sql("select * from parts order by pid, date_start, part").to_pylist()
    assert stored == found.to_pylist()
    pid = parts_of(found)["pid"][0].as_py()
    strict = {"parts": {"evidence": 1e6}}
    (row,) = markers.parts(truth.AOI, truth.YEAR, pids=[pid], parameters=strict, lake=lake).to_pylist()
    assert (row["pid"], row["reason"]) == (pid, ALIKE)
    stored = lake.sql("select count(*) as n, count(*) filter (pid = $pid) as its from parts", pid=pid).to_pylist()
    assert stored == [{"n": count - 1, "its": 1}]
    markers.parts(truth.AOI, truth.YEAR, pids=[pid], lake=lake)
    assert lake.sql("select count(*) as n from parts")["n"][0].as_py() == count


def test_the_command_writes_a_geopackage_and_a_figure_and_says_how_many_there_are(planted, tmp_path, monkeypatch):
    lake, _, found = planted
    monkeypatch.setenv("CBM_LAKE_HOME", str(Path(lake.url).parent.parent))
    pid = parts_of(found)["pid"][0].as_py()
    area = ["--aoi", truth.AOI, "--year", str(truth.YEAR), "--pid", pid]
    files = ["--to", str(tmp_path / "p.gpkg"), "--figure", str(tmp_path / "p.png")]
    done = CliRunner().invoke(app, ["markers", "parts", *area, *files])
    assert done.exit_code == 0, done.output
    assert "1 of 1 parcels were worked on a part only" in done.output
    written = gpd.read_file(tmp_path / "p.gpkg")
    assert written.crs.to_epsg() == truth.EPSG
    assert written.state.tolist() == [row["state"] for row in found.to_pylist() if row["pid"] == pid]
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_a_figure_has_the_scale_of_its_ndvi_for_each_event(planted):
    lake, _, found = planted
    pid = parts_of(found)["pid"][0].as_py()
    figure = markers.show_parts(truth.AOI, truth.YEAR, pid, lake=lake)
    events = {row["date_start"] for row in found.to_pylist() if row["pid"] == pid}
    assert [axes.get_xlabel() for axes in figure.axes].count("NDVI") == len(events)


def test_a_figure_is_of_one_parcel_and_of_one_that_has_parts(planted, tmp_path):
    lake, there, _ = planted
    nothing = next(pid for pid, each in there.items() if each.happened == "nothing")
    with pytest.raises(NotFoundError, match=f"no parts of parcel {nothing} were found"):
        markers.show_parts(truth.AOI, truth.YEAR, nothing, lake=lake)
    refused = CliRunner().invoke(app, ["markers", "parts", "--aoi", "x", "--year", "2024", "--figure", "p.png"])
    assert refused.exit_code == 1
    assert "one --pid" in str(refused.exception)


def test_words_count_parcels_and_reasons(planted):
    _, _, found = planted
    count = len(set(parts_of(found)["pid"].to_pylist()))
    assert in_words(found) == f"{count} of 160 parcels were worked on a part only; {160 - count}: {ALIKE}"


def test_a_lake_without_the_table_has_a_view_without_rows(lake):
    assert lake.sql("select * from parts").num_rows == 0


# -- bad input ---------------------------------------------------------------------------------------------------------


def made(folder, *shapes, **options):
    """A lake of those parcels, in each of which half was mown."""
    fields = [truth.Field(str(n), shape, truth.half(shape, 0, 0.5), "straight") for n, shape in enumerate(shapes)]
    return truth.make(folder, fields, clouds=0, **options)


def reasons(lake, **options):
    return [row["reason"] for row in markers.parts(truth.AOI, truth.YEAR, lake=lake, **options).to_pylist()]


def test_a_parcel_that_is_too_small_is_said_to_be(tmp_path):
    lake = made(tmp_path, truth.outline("square", 0.05, 0))
    assert reasons(lake) == ["too small: fewer than 10 pixels lie 5 m inside it"]


def test_parcels_without_a_cube_are_said_to_have_none(tmp_path):
    lake = made(tmp_path, truth.outline("square", 1, 0))
    far = truth.Field("9", shapely.box(0, 0, 99, 99), shapely.Polygon(), "nothing")
    lake.add_parcels("apart", truth.YEAR, "", "v1", truth.parcels_of([far]))
    (row,) = markers.parts("apart", truth.YEAR, lake=lake).to_pylist()
    assert (row["reason"], row["looks"], row["state"]) == (NO_CUBE, None, None)


def test_a_parcel_across_the_edge_of_the_grid_is_not_judged(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",))
    edge = two_tiles.LEFT
    shape = shapely.box(edge - 50, two_tiles.TOP - 300, edge + 150, two_tiles.TOP - 100)
    lake.add_parcels("ms", 2024, "", "v2", truth.parcels_of([truth.Field("9", shape, shapely.Polygon(), "nothing")]))
    (row,) = markers.parts("ms", 2024, lake=lake).to_pylist()
    assert row["reason"] == "it lies across the edge of the cubes' grids, none of which holds it whole"


def test_each_area_is_searched_in_its_own_utm_zone(tmp_path):
    lake = two_tiles.make(tmp_path)
    for aoi in two_tiles.ZONES:
        rows = markers.parts(aoi, 2024, lake=lake).to_pylist()
        assert {row["epsg"] for row in rows} == {two_tiles.ZONES[aoi]}
        assert all(row["reason"] for row in rows)


def test_a_parcel_that_the_first_grid_hardly_sees_is_searched_on_the_next(tmp_path, monkeypatch):
    lake = made(tmp_path, truth.outline("square", 1, 0))
    (view,) = pixels.views(lake, truth.AOI, truth.YEAR, read())
    blind = replace(view, scenes=view.scenes.isel(time=slice(0, 1)), day=view.day[:1])
    for views in ([blind, view], [view, view]):
        monkeypatch.setattr(pixels, "views", lambda *_, views=views: views)
        assert reasons(lake) == [None, None]


def test_an_outline_that_crosses_itself_is_repaired_before_it_is_divided():
    bow = shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])
    places = np.array([[10.0, 50.0], [90.0, 50.0]])
    line = np.array([shapely.LineString([(30, -10), (30, 110)])])
    parts = outlines.parts(bow, line, places, np.array([1, 0], np.int8), 1, lambda shape: shape)
    assert [part.area for part in parts] == [pytest.approx(2500)] * 2


def test_one_clear_date_is_not_enough_and_said(tmp_path):
    lake = made(tmp_path, truth.outline("square", 1, 0))
    extract_days = {"season": {"start": "05-01", "end": "05-05"}}
    assert reasons(lake, parameters={"mowing": extract_days, "work": extract_days}) == ["seen clearly on one date only"]
    never = {"season": {"start": "01-01", "end": "01-05"}}
    assert reasons(lake, parameters={"mowing": never, "work": never}) == ["never seen clearly"]


def test_without_scene_classes_nothing_is_judged(tmp_path, monkeypatch):
    lake = made(tmp_path, truth.outline("square", 1, 0))
    monkeypatch.setattr(pixels, "_covers", lambda *_: False)
    assert reasons(lake) == ["its cube has no scene classes, so that clouds cannot be screened"]


@pytest.mark.slow
def test_planted_halves_are_found_in_real_scenes(realdata, capsys):
    truth.herault(realdata / "s2_herault_2018")
    line = next(line for line in capsys.readouterr().out.splitlines() if "from 0.3 ha on" in line)
    planted, found, _, _, within = (float(cell) for cell in line.split("|")[2:7])
    assert planted >= 20
    assert found >= 0.9
    assert within >= 0.85


def test_unknown_parcels_and_parameters_are_refused_by_name(planted):
    lake = planted[0]
    with pytest.raises(NotFoundError, match="no parcel 'x'"):
        markers.parts(truth.AOI, truth.YEAR, pids=["x"], lake=lake)
    with pytest.raises(InvalidInputError, match=r"parts\.drop"):
        markers.parts(truth.AOI, truth.YEAR, parameters={"parts": {"drop": 2}}, lake=lake)


def test_mown_parts_that_fall_to_bare_soil_were_ploughed():
    shown = outlines.Pixels(*square(2), np.ones(4, np.int8), np.ones(4))
    event = events.Event(0, 19_900, 19_910, -0.6, 0, 0.02, 0.15, 0.8, 0.9, None, shown)
    assert _named(event, (), 2024, read())[0] == "ploughing"
    days = {name: date(2024, 6, 26) for name in ("date_start", "date_main", "date_end")}
    known = {"marker": "harvest", **days}
    green = events.Event(0, 19_900, 19_910, -0.4, 0, 0.02, 0.35, 0.8, 0.9, None, shown)
    assert _named(green, (known,), 2024, read()) == ("harvest", date(2024, 6, 26))
    assert _named(green, (), 2024, read())[0] == "mowing"


@pytest.mark.parametrize("marker", ["mowing", "ploughing", "harvest"])
def test_a_rest_on_which_nothing_stood_is_not_said_to_be_unworked(marker):
    worked, rest = _states(marker, 0.36, read())
    assert rest == f"un{worked}"
    assert _states(marker, 0.34, read()) == (worked, "unvegetated")


def test_the_rest_is_as_green_as_it_was_on_the_greener_of_both_dates():
    ndvi = np.array([[0.8, 0.1, 0.2, np.nan], [0.3, 0.2, np.nan, 0.4]], np.float32)
    assert events._rest(ndvi, np.array([1, 0, 0, 0], np.int8)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("evidence", "confirmed", "confidence"), [(1e3, True, 0.99), (1e3, False, 0.75), (20, True, 0.63)]
)
def test_a_confidence_has_two_digits_and_is_never_certain(evidence, confirmed, confidence):
    assert events._confidence(evidence, confirmed) == confidence


def test_a_part_without_vegetation_before_and_one_out_of_season_are_no_events():
    shown = outlines.Pixels(*square(2), np.ones(4, np.int8), np.ones(4))
    sown = events.Event(0, 19_900, 19_910, 0, 0.4, 0.02, 0.2, 0.8, 0.9, None, shown)
    assert _named(sown, (), 2024, read())[0] is None
    winter = events.Event(0, 19_730, 19_740, -0.4, 0, 0.02, 0.4, 0.8, 0.9, None, shown)
    assert _named(winter, (), 2024, read())[0] is None
