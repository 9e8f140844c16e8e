"""An outline is the same while it is at the same place; attributes are data beside it."""

import logging
from datetime import date, datetime
from decimal import Decimal

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely
from factories import PIDS, day, fill, outline, parcel_set, signature, signatures, write
from factories import parcels as rows_of_parcels
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box
from typer.testing import CliRunner

from cbm_lake import extract, parcels
from cbm_lake.cli import app
from cbm_lake.lake import Lake, check
from cbm_lake.lake.unions import common_type
from cbm_lake.parcels import geometry as parcel_geometry
from cbm_lake.parcels import identity
from cbm_lake.parcels.changes import Changes
from cbm_lake.parcels.identity import gather, same_place, tolerance

X, Y = 600_000.0, 5_300_000.0
FAR = parcels.TOLERANCE
FORMATS = ("gpkg", "shp", "geojson", "fgb", "parquet", "tab")


# -- the same place --------------------------------------------------------------------------------------------------


def ring(rng, x, y, radius, count):
    """A star-shaped ring; its vertices are metres apart."""
    angles = 2 * np.pi * (np.arange(count) + rng.uniform(0, 0.7, count)) / count
    reach = radius * rng.uniform(0.6, 1, count)
    return np.column_stack([x + reach * np.cos(angles), y + reach * np.sin(angles)])


def polygon(rng, x=X, y=Y):
    holes = [ring(rng, x + dx, y, 6, rng.integers(3, 7)) for dx in (-12, 12)[: rng.integers(0, 3)]]
    return Polygon(ring(rng, x, y, 60, rng.integers(8, 30)), holes)


def geometry(seed):
    """A polygon with up to two holes, or a multipolygon of such."""
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 4)
    parts = [polygon(rng, X + 200 * number) for number in range(count)]
    return parts[0] if count == 1 else MultiPolygon(parts)


def another_writing(rng, coordinates, *, jitter=0.0, extra=True):
    """The ring begun elsewhere, perhaps turned, some vertices doubled, some added on its edges."""
    points = coordinates[:-1]
    points = np.roll(points, rng.integers(len(points)), axis=0)
    if rng.random() < 0.5:
        points = points[::-1]
    if extra:
        place = rng.integers(len(points))
        between = (points[place] + points[(place + 1) % len(points)]) / 2
        points = np.insert(points, place + 1, between, axis=0)
        points = np.repeat(points, rng.integers(1, 3, len(points)), axis=0)
    angles = rng.uniform(0, 2 * np.pi, len(points))
    points = points + jitter * np.column_stack([np.cos(angles), np.sin(angles)])
    return np.vstack([points, points[:1]])


def rewritten(shape, seed, **options):
    """The same place in other bytes."""
    rng = np.random.default_rng(seed)
    parts = []
    for part in shapely.get_parts(shape):
        holes = [another_writing(rng, np.array(hole.coords), **options) for hole in part.interiors]
        shell = another_writing(rng, np.array(part.exterior.coords), **options)
        parts.append(Polygon(shell, [holes[number] for number in rng.permutation(len(holes))]))
    parts = [parts[number] for number in rng.permutation(len(parts))]
    return parts[0] if len(parts) == 1 and rng.random() < 0.5 else MultiPolygon(parts)


def same(first, second, distance=FAR):
    return bool(same_place(np.array([first]), np.array([second]), distance)[0])


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=200, deadline=None)
@given(SEEDS, SEEDS, st.sampled_from([0.0, 1e-9, 1e-4, 0.008, 0.019]))
def test_the_same_outline_in_whatever_bytes_is_at_the_same_place(seed, writing, jitter):
    shape = geometry(seed)
    assert same(shape, rewritten(shape, writing, jitter=jitter))


@settings(max_examples=200, deadline=None)
@given(SEEDS, SEEDS, st.floats(0.03, 50), st.integers(0, 100))
def test_a_vertex_drawn_elsewhere_is_another_outline(seed, writing, far, number):
    shape = geometry(seed)
    coordinates = shapely.get_coordinates(shape)
    moved = number % len(coordinates)
    twins = (coordinates == coordinates[moved]).all(axis=1)
    away = coordinates[moved] - shapely.get_coordinates(shape.centroid)[0]
    coordinates[twins] += far * away / np.hypot(*away)
    redrawn = shapely.set_coordinates(shapely.from_wkb(shape.wkb), coordinates)
    expected = shape.boundary.hausdorff_distance(redrawn.boundary) <= FAR  # independent: a vertex may slide on its edge
    assert same(shape, rewritten(redrawn, writing)) == expected


@pytest.mark.parametrize("far", [0.03, 0.1, 0.5, 3])
def test_an_outline_that_is_moved_or_grown_is_another_one(far):
    square = box(X, Y, X + 80, Y + 80)
    assert not same(square, shapely.transform(square, lambda xy: xy + np.array([far, 0])))
    assert not same(square, box(X, Y, X + 80, Y + 80 + far))
    assert not same(square, square.difference(box(X + 10, Y + 10, X + 10 + far, Y + 20)))


def test_the_same_vertices_in_another_order_are_another_outline():
    first = Polygon([(0, 0), (5, 5), (10, 0), (10, 10), (0, 10)])
    second = Polygon([(0, 0), (10, 0), (10, 10), (0, 10), (5, 5)])
    assert first.area == second.area
    assert first.boundary.hausdorff_distance(second.boundary) == 0  # which looks at vertices only
    assert not same(first, second)


def test_a_hole_that_reaches_the_edge_within_the_tolerance_is_not_overlooked():
    square = box(0, 0, 50, 50)
    frame = Polygon(square.exterior.coords, [shapely.buffer(square, -FAR / 2).exterior.coords])
    assert not same(square, frame)


def test_two_values_on_both_sides_of_a_rounding_boundary_are_the_same():
    edges = np.array([0.005, 0.0005, 0.00005, 0.5])
    for edge in edges:
        below = box(X + edge - 1e-9, Y, X + 10, Y + 10)
        above = box(X + edge + 1e-9, Y, X + 10, Y + 10)
        assert same(below, above)


def test_degrees_have_the_same_tolerance_on_the_ground():
    assert tolerance(2154) == FAR
    assert tolerance(4326) == pytest.approx(1.8e-7, rel=0.01)


def test_rows_are_gathered_as_numpy_does():
    rng = np.random.default_rng(3)
    column = pa.chunked_array([rng.integers(0, 9, size).astype(str).tolist() for size in (3, 0, 40, 1)], pa.string())
    rows = rng.integers(0, 44, 500)
    assert gather(column, rows).to_pylist() == [column[row].as_py() for row in rows.tolist()]
    assert len(gather(column, rows[:0])) == 0


# -- deliveries ------------------------------------------------------------------------------------------------------


def save(file, shapes, crs=32631, **columns):
    columns = columns or {"pid": [str(number) for number in range(len(shapes))]}
    frame = gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)
    if file.suffix == ".parquet":
        frame.to_parquet(file)
    elif file.suffix == ".tab":
        frame.to_file(file, driver="MapInfo File")
    else:
        frame.to_file(file)
    return file


def stored(lake, aoi="aa", year=2024, ptype=None):
    table = lake.read_parcels(lake.parcel_set(aoi, year, ptype)).sort_by("id")
    return dict(zip(table["id"].to_pylist(), table["geometry"].to_pylist(), strict=True))


@pytest.fixture(params=[("aa", 2024, ""), ("bb", 2023, "m")])
def key(request):
    return request.param


@pytest.mark.parametrize("ending", FORMATS)
def test_a_delivery_in_another_format_is_the_same_parcels(lake, tmp_path, key, ending):
    shapes = [geometry(seed) for seed in range(40)]
    first = parcels.load(save(tmp_path / "a.gpkg", shapes), *key, lake=lake)
    before = stored(lake, *key)
    again = parcels.load(save(tmp_path / f"b.{ending}", shapes), *key, lake=lake)
    assert (again.new, again.version, again.outcome) == (False, first.version, "were there already")
    assert stored(lake, *key) == before


@pytest.mark.parametrize(("crs", "decimals"), [(4326, 7), (4326, 9), (3035, 3), (2154, 4), (32631, 3)])
def test_a_delivery_in_another_coordinate_system_or_rounded_is_the_same_parcels(lake, tmp_path, crs, decimals):
    shapes = gpd.GeoSeries([geometry(seed) for seed in range(40)], crs=32631)
    first = parcels.load(save(tmp_path / "a.gpkg", shapes), "aa", 2024, lake=lake)
    before = stored(lake)
    moved = shapely.transform(shapes.to_crs(crs).to_numpy(), lambda xy: xy.round(decimals))
    again = parcels.load(save(tmp_path / "b.parquet", moved, crs), "aa", 2024, lake=lake)
    assert (again.new, again.version) == (False, first.version)
    assert stored(lake) == before


def test_only_the_outlines_that_were_redrawn_have_other_bytes(lake, tmp_path):
    shapes = [geometry(seed) for seed in range(30)]
    parcels.load(save(tmp_path / "a.gpkg", shapes), "aa", 2024, lake=lake)
    before = stored(lake)
    shapes = [rewritten(shape, seed, jitter=0.001) for seed, shape in enumerate(shapes)]
    shapes[7] = shapely.transform(shapes[7], lambda xy: xy + np.array([0.5, 0]))
    again = parcels.load(save(tmp_path / "b.gpkg", shapes), "aa", 2024, lake=lake)
    assert (again.new, again.changes) == (True, Changes(redrawn=1))
    assert {pid for pid, wkb in stored(lake).items() if before[pid] != wkb} == {"7"}


def test_small_differences_do_not_add_up_over_deliveries(lake, tmp_path):
    square = box(X, Y, X + 80, Y + 80)
    news = []
    for number in range(6):
        shape = shapely.transform(square, lambda xy, by=0.008 * number: xy + np.array([by, 0]))
        news.append(parcels.load(save(tmp_path / f"{number}.gpkg", [shape]), "aa", 2024, lake=lake).new)
    assert news == [True, False, False, True, False, False]  # 24 mm from the first, and from there on anew


def test_outlines_that_come_back_have_the_bytes_that_they_had(lake, tmp_path):
    shapes = [geometry(seed) for seed in range(5)]
    first = parcels.load(save(tmp_path / "a.gpkg", shapes), "aa", 2024, lake=lake)
    before = stored(lake)
    parcels.load(save(tmp_path / "b.gpkg", [box(X, Y, X + 9, Y + 9), *shapes[1:4]]), "aa", 2024, lake=lake)
    back = [rewritten(shape, seed, jitter=0.001) for seed, shape in enumerate(shapes)]
    again = parcels.load(save(tmp_path / "c.gpkg", back), "aa", 2024, lake=lake)
    assert (again.version, again.new) == (first.version, True)
    assert again.changes == Changes(added=1, redrawn=1)
    assert stored(lake) == before


def test_sets_of_other_areas_years_and_kinds_do_not_lend_their_bytes(lake, tmp_path):
    shape = geometry(11)
    other = rewritten(shape, 5, jitter=0.001)
    parcels.load(save(tmp_path / "a.gpkg", [shape]), "aa", 2024, lake=lake)
    for key in (("aa", 2023, ""), ("bb", 2024, ""), ("aa", 2024, "m")):
        parcels.load(save(tmp_path / "b.gpkg", [other]), *key, lake=lake)
        assert stored(lake, *key) != stored(lake)


def test_bow_ties_that_are_mended_are_the_same_again(lake, tmp_path):
    points = [(X, Y), (X + 40, Y + 40), (X + 40, Y), (X, Y + 20)]
    parcels.load(save(tmp_path / "a.gpkg", [Polygon(points)]), "aa", 2024, lake=lake)
    again = parcels.load(save(tmp_path / "b.gpkg", [Polygon(points[2:] + points[:2])]), "aa", 2024, lake=lake)
    assert not again.new


# -- signatures ------------------------------------------------------------------------------------------------------


def deliver(lake, tmp_path, shapes=None, pids=PIDS, name="again.gpkg", **columns):
    """The parcels of `fill` once more, from a file."""
    shapes = shapes or [outline(number) for number in range(len(pids))]
    columns = {"crop_name": ["wheat"] * len(pids), "crop_code": ["1"] * len(pids)} | columns
    return parcels.load(save(tmp_path / name, shapes, pid=list(pids), **columns), "ms", 2024, lake=lake)


def to_do(lake):
    """The scenes that an extraction would do."""
    found = extract.plan(
        "s2", day(0).date(), day(9).date(), aoi="ms", year=2024, bands="B04,B08", cube=False, dry=True, lake=lake
    )
    return [*found.jobs, *found.failed]


@pytest.mark.parametrize("version", ["v1", "3b7c0a9d2e11"])
def test_signatures_of_a_lake_of_version_01_count_after_a_delivery(lake, tmp_path, version):
    lake.add_parcels("ms", 2024, "", version, rows_of_parcels(PIDS, [("wheat", "1")] * 3))
    write(lake, signatures(*(signature(pid) for pid in sorted(PIDS))), parcel_set(version=version), "A")
    before = lake.sql("from s2 order by pid")
    turned = [rewritten(outline(number), number, jitter=0.002) for number in range(3)]
    assert not deliver(lake, tmp_path, turned).new
    assert lake.parcel_set("ms", 2024).version == version
    assert lake.query("status.parcels")["older"].to_pylist() == [0]
    added = deliver(lake, tmp_path, turned, name="b.gpkg", owner=["x", "y", None])
    assert (added.new, added.changes) == (True, Changes(columns_added=("owner",)))
    assert lake.sql("from s2 order by pid").equals(before)
    assert before.num_rows == 3
    assert lake.query("status.parcels")["older"].to_pylist() == [0]
    assert lake.parcel_set("ms", 2024).geometry_version == version
    moved = [*turned[:2], shapely.transform(turned[2], lambda xy: xy + np.array([1, 0]))]
    assert deliver(lake, tmp_path, moved, name="c.gpkg", owner=["x", "y", None]).changes == Changes(redrawn=1)
    assert lake.query("status.parcels")["older"].to_pylist() == [1]
    assert lake.sql("select count(*) n from s2").to_pylist() == [{"n": 2}]


def test_new_attributes_make_a_new_version_and_nothing_is_extracted_again(lake, tmp_path):
    fill(lake)
    before = lake.sql("from s2 order by scene, pid")
    assert deliver(lake, tmp_path, practice=["till", "till", None]).new
    one = lake.parcel_set("ms", 2024)
    again = deliver(lake, tmp_path, name="b.gpkg", practice=["no-till", "till", None], owner=["a", "b", "c"])
    assert again.new
    assert again.changes == Changes(attributes=(("practice", 1),), columns_added=("owner",))
    assert str(again.changes) == "same outlines, attributes changed: practice (1 parcel), owner added"
    assert lake.sql("from s2 order by scene, pid").equals(before)
    assert lake.sql("from outdated").num_rows == 0
    assert to_do(lake) == []
    assert lake.parcel_set("ms", 2024).geometry_version == one.geometry_version
    assert lake.sql("select count(*) n from parcels").to_pylist() == [{"n": 3}]
    assert check.check(lake).num_rows == 0


def test_a_redrawn_outline_is_extracted_again_and_only_that_one_is_outdated(lake, tmp_path):
    fill(lake)
    shapes = [outline(0), outline(1), shapely.transform(outline(2), lambda xy: xy + np.array([0.5, 0]))]
    assert deliver(lake, tmp_path, shapes).changes == Changes(redrawn=1)
    assert set(lake.sql("select pid from s2")["pid"].to_pylist()) == set(PIDS[:2])
    assert len(to_do(lake)) == 2


def test_the_lake_as_it_was_has_the_attributes_of_then(lake, tmp_path):
    fill(lake)
    deliver(lake, tmp_path, practice=["till", "till", "till"])
    before = datetime.now().astimezone()
    deliver(lake, tmp_path, name="b.gpkg", practice=["no-till", "till", "till"])
    question = "select id, practice from fiboa_parcels order by id"
    then, now = Lake(lake.url, as_of=before).sql(question), lake.sql(question)
    assert then["practice"].to_pylist() == ["till"] * 3
    assert sorted(now["practice"].to_pylist()) == ["no-till", "till", "till"]


def test_a_crop_of_another_name_is_an_attribute(lake, tmp_path):
    fill(lake)
    again = deliver(lake, tmp_path, crop_name=["wheat", "rye", "wheat"])
    assert again.changes == Changes(attributes=(("crop:name", 1),))
    assert lake.sql("select count(*) n from s2").to_pylist() == [{"n": 6}]
    assert lake.sql("select count(*) n from parcels where crop_name = 'rye'").to_pylist() == [{"n": 1}]


def test_numbers_of_rows_are_attributes(lake, tmp_path):
    fill(lake)
    deliver(lake, tmp_path, ogc_fid=[10, 11, 12])
    deliver(lake, tmp_path, name="b.parquet", ogc_fid=[20, 21, 22])
    assert lake.sql("select fid from parcels order by fid")["fid"].to_pylist() == [20, 21, 22]
    assert lake.sql("select count(*) n from s2").to_pylist() == [{"n": 6}]


@pytest.mark.parametrize("moved", [3, 2])
def test_where_every_parcel_is_elsewhere_the_coordinate_system_is_asked_about(lake, tmp_path, moved):
    fill(lake)
    shapes = [shapely.affinity.translate(outline(number), 1000 * (number < moved)) for number in range(3)]
    again = deliver(lake, tmp_path, shapes)
    assert again.changes.redrawn == moved
    assert any("give their coordinate system by crs=" in note for note in again.notes) == (moved == 3)


@pytest.mark.thorough
def test_an_outline_under_another_identifier_is_another_parcel_and_this_is_said(lake, tmp_path, caplog):
    fill(lake)
    turned = [rewritten(outline(number), number, jitter=0.001) for number in range(3)]
    again = deliver(lake, tmp_path, turned, [PIDS[0], "new 1", "new 2"])
    assert again.changes == Changes(added=2, removed=2, renamed=2)
    assert "2 of the new ones have the outline of one that is no longer declared" in str(again.changes)
    assert "2 parcels have the outline of another identifier" in caplog.text
    assert set(lake.sql("select pid from s2")["pid"].to_pylist()) == {PIDS[0]}
    assert len(to_do(lake)) == 2


def test_a_column_that_is_there_no_longer_is_said_and_stays_in_the_former_version(lake, tmp_path, caplog):
    fill(lake)
    deliver(lake, tmp_path, owner=["a", "b", "c"])
    caplog.set_level(logging.WARNING)
    again = deliver(lake, tmp_path, name="b.gpkg")
    assert again.changes == Changes(columns_removed=("owner",))
    assert "there is no column owner any more" in caplog.text


def test_a_column_that_is_the_crop_from_now_on_is_not_said_to_be_gone(lake, tmp_path, caplog):
    fill(lake)
    crops = ["wheat", "rye", "oats"]
    deliver(lake, tmp_path, sown=crops, owner=["a", "b", "c"])
    caplog.set_level(logging.WARNING)
    file = save(tmp_path / "b.gpkg", [outline(number) for number in range(3)], pid=list(PIDS), sown=crops)
    assert parcels.load(file, "ms", 2024, crop_name="sown", lake=lake).changes.same_geometries
    assert "there is no column owner any more" in caplog.text
    assert lake.sql("select crop_name from parcels order by pid")["crop_name"].to_pylist() == crops


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [
        (pa.array([1, 2], pa.int32()), pa.array([1, 2], pa.int64()), None),
        (pa.array([1, 2], pa.int64()), pa.array([1.0, 2.0]), None),
        (pa.array([1.5, None], pa.float32()), pa.array([1.5, None], pa.float64()), None),
        (pa.array([Decimal("1.50"), Decimal("20.00")]), pa.array([1.5, 20.0]), None),
        (pa.array(["a", None]), pa.array(["a", None]).dictionary_encode(), None),
        (pa.array(["a", None]), pa.array(["a", ""]), Changes(attributes=(("n", 1),))),
        (pa.array([1, 2]), pa.array(["1", "2"]), Changes(retyped=(("n", "int64", "string"),))),
        (pa.array([1, 2]), pa.array([1, 3]), Changes(attributes=(("n", 1),))),
        (pa.array([[1], None]), pa.array([[1], [2]]), Changes(attributes=(("n", 1),))),
        (pa.array([{"a": 1}, {"a": 2}]), pa.array([{"a": 1}, {"a": 2}]), None),
        (pa.array([b"\xff", b""]), pa.array([b"\xff", b"\xfe"]), Changes(attributes=(("n", 1),))),
        (pa.array([date(2024, 1, 1), None]), pa.array([date(2024, 1, 1), None], pa.date64()), None),
        (
            pa.array([datetime(2024, 1, 1), None], pa.timestamp("ms")),
            pa.array([datetime(2024, 1, 1), None], pa.timestamp("ns")),
            None,
        ),
        (pa.array([float("nan"), 1.0]), pa.array([float("nan"), 1.0]), None),
    ],
)
def test_values_are_compared_whatever_type_a_format_gives_them(lake, tmp_path, first, second, changes):
    wkb = pa.array([outline(number).wkb for number in range(2)], pa.binary())
    loaded = []
    for number, values in enumerate((first, second)):
        file = tmp_path / f"{number}.parquet"
        gpd.GeoDataFrame({"pid": ["1", "2"]}, geometry=shapely.from_wkb(wkb.to_pylist()), crs=32631).to_parquet(file)
        table = pq.read_table(file)
        pq.write_table(table.append_column("n", values).replace_schema_metadata(table.schema.metadata), file)
        loaded.append(parcels.load(file, "aa", 2024, lake=lake))
    assert loaded[1].new == (changes is not None)
    assert (loaded[1].changes or None) == changes


def test_the_command_says_what_changed(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(workspace.root))
    shapes = [geometry(1), geometry(2)]
    one = save(tmp_path / "1.gpkg", shapes, pid=["1", "2"], practice=["till", "till"])
    two = save(tmp_path / "2.gpkg", shapes, pid=["1", "2"], practice=["no-till", "till"], owner=["a", "b"])
    run = CliRunner()
    assert "loaded" in run.invoke(app, ["parcels", "load", str(one), "--aoi", "aa", "--year", "2024"]).output
    said = " ".join(run.invoke(app, ["parcels", "load", str(two), "--aoi", "aa", "--year", "2024"]).output.split())
    assert "loaded; same outlines, attributes changed: practice (1 parcel), owner added" in said
    assert (
        "were there already" in run.invoke(app, ["parcels", "load", str(two), "--aoi", "aa", "--year", "2024"]).output
    )


# -- columns of one's own over several sets --------------------------------------------------------------------------

KINDS = {
    "integer": pa.array([1]),
    "text": pa.array(["till"]),
    "date": pa.array([date(2024, 5, 1)]),
    "double": pa.array([1.5]),
    "boolean": pa.array([True]),
    "list": pa.array([[1, 2]]),
    "struct": pa.array([{"a": 1}]),
    "decimal": pa.array([Decimal("1.5")]),
    "bytes": pa.array([b"x"]),
    "time": pa.array([datetime(2024, 5, 1, 12)]),
    "unsigned": pa.array([2**64 - 1], pa.uint64()),
    "small": pa.array([7], pa.int16()),
    "nothing": pa.nulls(1),
}


def file_with(tmp_path, name, columns):
    file = save(tmp_path / f"{name}.parquet", [outline(0)], pid=["1"])
    table = pq.read_table(file)
    for column, values in columns.items():
        table = table.append_column(column, values)
    pq.write_table(table, file)
    return file


def test_a_column_of_any_type_in_another_set_breaks_no_question(lake, tmp_path, caplog):
    for number, (name, values) in enumerate(KINDS.items()):
        column = "practice" if number % 2 else "PRACTICE"
        file = file_with(tmp_path, name, {column: values, "ogc_fid": values})
        parcels.load(file, f"a{number % 2}", 2000 + number, lake=lake)
    assert lake.sql("select count(*) n from parcels").to_pylist() == [{"n": len(KINDS)}]
    rows = {row["year"]: row["PRACTICE"] for row in lake.sql("select year, practice from fiboa_parcels").to_pylist()}
    texts = [rows[2000 + number] for number in range(len(KINDS))]
    assert texts[:8] == ["1", "till", "2024-05-01", "1.5", "true", "[1, 2]", "{'a': 1}", "1.5"]
    assert texts[10:] == [str(2**64 - 1), "7", None]
    assert lake.sql("select fid from parcels where year = 2000").to_pylist() == [{"fid": 1}]
    assert "column PRACTICE in different types" in caplog.text
    for number, (name, values) in enumerate(KINDS.items()):  # in its own file every set has its own type
        table = lake.read_parcels(lake.parcel_set(f"a{number % 2}", 2000 + number))
        mine = table["practice" if number % 2 else "PRACTICE"]
        assert mine.to_pylist() == values.to_pylist(), name
        assert mine.type == (pa.string() if name == "nothing" else values.type)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["integer", "small"], "BIGINT"),
        (["double", "small"], "DOUBLE"),
        (["double", "integer"], "VARCHAR"),  # a double has not room for every whole number
        (["integer", "unsigned"], "HUGEINT"),
        (["date", "time"], "TIMESTAMP"),
        (["boolean", "integer"], "VARCHAR"),
        (["struct", "struct"], "STRUCT(a BIGINT)"),
        (["text", "bytes"], "VARCHAR"),
    ],
)
def test_types_are_kept_where_one_holds_the_values_of_both(lake, tmp_path, kinds, expected):
    for year, kind in zip((2023, 2024), kinds, strict=True):
        parcels.load(file_with(tmp_path, f"{year}", {"n": KINDS[kind]}), "aa", year, lake=lake)
    assert lake.sql("select any_value(typeof(n)) as n from fiboa_parcels").to_pylist() == [{"n": expected}]


def test_a_common_type_does_not_depend_on_the_order():
    kinds = ["DATE", "BIGINT", "VARCHAR", "INTEGER[]"]
    assert {common_type(kinds[number:] + kinds[:number]) for number in range(4)} == {"VARCHAR"}


@pytest.mark.thorough
def test_many_sets_of_many_columns_are_one_view(lake, tmp_path):
    for number in range(12):
        columns = {f"column {n + 20 * number}": pa.array([n]) for n in range(40)}
        file = file_with(
            tmp_path, str(number), columns | {f"mixed {n}": pa.array([n if number % 2 else "x"]) for n in range(5)}
        )
        parcels.load(file, "aa", 2000 + number, lake=lake)
    table = lake.sql("from fiboa_parcels order by year")
    assert table.num_rows == 12
    assert len([name for name in table.column_names if name.startswith("column ")]) == 260
    assert table["mixed 3"].to_pylist() == ["x", "3"] * 6
    assert pc.sum(table["column 5"]).as_py() == 5


@pytest.mark.parametrize("decoded", [True, False])
def test_geometries_come_in_equal_portions_whatever_the_chunks_and_nothing_is_lost(monkeypatch, decoded):
    monkeypatch.setattr(parcel_geometry, "CHUNK", 7)
    shapes = np.array([shapely.Point(number, 0) for number in range(33)])
    parts = np.split(shapes, [3, 3, 20, 21])
    chunks = parts if decoded else [pa.array(shapely.to_wkb(part), pa.binary()) for part in parts]
    portions = list(parcel_geometry._portions(chunks))
    assert [len(portion) for portion in portions] == [7, 7, 7, 7, 5]
    assert (np.concatenate(portions) == shapes).all()
    assert chunks == []


@pytest.mark.parametrize("distance", [0.02, 0.2])
def test_large_outlines_are_compared_by_an_index_of_their_edges_as_by_the_hausdorff_distance(monkeypatch, distance):
    rng = np.random.default_rng(5)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    first, second = [], []
    for jitter in rng.uniform(0, 1.4 * distance, 200):
        rings = [circle * 50, circle * 20, circle * 10 + 200]
        moved = [np.roll(ring + rng.uniform(-jitter, jitter, ring.shape), 7, axis=0) for ring in rings]
        for shapes, (outer, hole, island) in ((first, rings), (second, moved)):
            shapes.append(MultiPolygon([Polygon(outer, [hole]), Polygon(island)]))
    first, second = np.array(first), np.array(second)
    expected = shapely.hausdorff_distance(first, second, densify=0.5) <= distance
    assert 20 < expected.sum() < 180
    monkeypatch.setattr(identity, "_LARGE", 0)
    assert (identity._are_near(first, second, distance) == expected).all()
    hole_filled = np.array([MultiPolygon([Polygon(shape.geoms[0].exterior), shape.geoms[1]]) for shape in first])
    assert not identity._are_near(first, hole_filled, distance).any()


def test_an_outline_of_many_vertices_is_not_compared_vertex_by_vertex_with_another(monkeypatch):
    """Each with each would be 10,000 million distances."""
    angles = np.linspace(0, 2 * np.pi, 50_000, endpoint=False)
    ring = np.column_stack([np.cos(angles), np.sin(angles)]) * 3_000
    more = np.insert(ring, 7, ring[6:8].mean(axis=0), axis=0)
    compared = []
    original = shapely.hausdorff_distance

    def counted(one, other, **options):
        compared.extend(one)
        return original(one, other, **options)

    monkeypatch.setattr(shapely, "hausdorff_distance", counted)
    assert same_place(np.array([Polygon(ring)]), np.array([Polygon(more)]), FAR).all()
    assert not same_place(np.array([Polygon(ring)]), np.array([Polygon(more + np.array([0, 2 * FAR]))]), FAR).any()
    assert not compared
