"""What is declared and seen of a parcel, in the shapes of the REST contract, and the files that are written."""

import csv
import json
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pytest
import shapely
from factories import (
    DAY,
    PIDS,
    SIDE,
    STEP,
    X,
    Y,
    band,
    copied,
    day,
    degrees,
    fill,
    outline,
    parcel_set,
    parcels,
    scenes,
    signature,
    signatures,
    write,
)
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import mapping

from cbm_lake import cards
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError
from cbm_lake.get import folders, parcel_info, time_series
from cbm_lake.lake import schemas
from cbm_lake.parcel.sources import polygons

KEYS = ["area", "clat", "clon", "cropcode", "cropname", "pid", "srid", "geom"]
COLUMNS = ["date_part", "band", "count", "mean", "std", "min", "p25", "p50", "p75", "max", "hist"]


@pytest.fixture
def loaded(lake):
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    return lake


@pytest.fixture
def filled(lake, two_scenes):
    return copied(two_scenes, lake)


def files(workspace):
    return sorted(str(path.relative_to(workspace.temp)) for path in workspace.temp.rglob("*") if path.is_file())


def in_degrees(number, grow=-1):
    """A parcel's square, shrunk by a metre, in degrees."""
    return shapely.transform(
        outline(number).buffer(grow, join_style="mitre"), lambda xy: [degrees(*point) for point in xy]
    )


def as_text(shape, separator="-"):
    return separator.join(f"{x}_{y}" for x, y in shape.exterior.coords)


# -- parcel_info -----------------------------------------------------------------------------------------------------


def test_a_parcel_by_its_identifier_has_the_shape_of_the_contract(loaded, workspace):
    answer = parcel_info.by_pid("ms", 2024, "0012")
    lon, lat = degrees(X + 50, Y + 50)
    geom = json.loads(answer.pop("geom")[0])
    assert answer == {
        "area": [10004],
        "clat": [pytest.approx(lat)],
        "clon": [pytest.approx(lon)],
        "cropcode": ["1"],
        "cropname": ["wheat"],
        "pid": ["0012"],
        "srid": [32631],
    }
    assert list(answer) == KEYS[:-1]
    assert isinstance(answer["area"][0], int)
    assert list(geom) == ["type", "crs", "coordinates"]
    assert geom["crs"] == {"type": "name", "properties": {"name": "EPSG:32631"}}
    assert shapely.Polygon(geom["coordinates"][0]).equals(outline(0))
    assert files(workspace) == ["ms/2024/0012/info.json"]


def test_info_json_is_the_answer(loaded, workspace):
    answer = parcel_info.by_pid("MS", "2024", "12")
    assert json.loads((workspace.temp / "ms" / "2024" / "12" / "info.json").read_text()) == answer


def test_an_outline_in_degrees_has_nine_decimals_and_no_system(loaded):
    answer = parcel_info.by_pid("ms", 2024, "0012", wgs84=True)
    geom = json.loads(answer["geom"][0])
    assert answer["srid"] == [32631]
    assert list(geom) == ["type", "coordinates"]
    ring = geom["coordinates"][0]
    assert [tuple(point) for point in ring] == [
        tuple(round(value, 9) for value in degrees(*point)) for point in outline(0).exterior.coords
    ]


def test_without_outline_there_is_no_key_for_it(loaded):
    assert list(parcel_info.by_pid("ms", 2024, "0012", geom=False)) == KEYS[:-1]


def test_a_parcel_without_crop_has_none(loaded):
    answer = parcel_info.by_pid("ms", 2024, "a/b")
    assert (answer["cropname"], answer["cropcode"]) == ([None], [None])


@pytest.mark.parametrize("pid", ["012", " 12", "12.0", "", "' or 1=1 --"])
def test_an_unknown_parcel_is_told_with_its_set(loaded, pid, workspace):
    with pytest.raises(NotFoundError, match=r"no parcel .* in ms 2024; identifiers are text") as caught:
        parcel_info.by_pid("ms", 2024, pid)
    assert repr(pid) in str(caught.value)
    assert files(workspace) == []


def test_an_unknown_set_is_told(loaded):
    with pytest.raises(NotFoundError, match="no parcels of ms 2023 in this lake; there are: ms 2024"):
        parcel_info.by_pid("ms", 2023, "12")


def test_a_number_as_identifier_is_taken_as_its_text(loaded):
    assert parcel_info.by_pid("ms", 2024, 12)["pid"] == ["12"]


@pytest.mark.parametrize("pid", ["a/b", "..", ".", "../../../x", "/etc/x", "a\\b", "%2E", "ä ö", "a\x00b", "~"])
def test_no_identifier_leads_out_of_temp_or_into_another_ones_folder(lake, workspace, pid):
    others = ("a%2Fb", "a_b")
    lake.add_parcels("ms", 2024, "", "v1", parcels((pid, *others), [("rye", "2")] * 3))
    for name in (pid, *others):
        parcel_info.by_pid("ms", 2024, name)
    written = list(workspace.root.rglob("info.json"))
    assert len(written) == 3
    assert {path.parent.parent for path in written} == {workspace.temp / "ms" / "2024"}
    assert {json.loads(path.read_text())["pid"][0] for path in written} == {pid, *others}


ODD_PIDS = st.one_of(
    st.sampled_from(
        ["CON", "con", "Nul.txt", "LPT1", "a ", "a.", "a%20", "ω" * 50, "ω" * 51, "x" * 255, "x" * 256, "..."]
    ),
    st.text(min_size=1, max_size=400),
)


@given(st.lists(ODD_PIDS, min_size=2, unique=True), st.sampled_from([255, 150]))
def test_no_two_identifiers_share_a_folder_and_each_has_one_everywhere(pids, most):
    names = [folders.name_of(pid, most) for pid in pids]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(name.encode()) <= most
        assert not set(name) & set('<>:"/\\|?*')
        assert name.isprintable()
        assert name[-1] not in " ."
        assert name.split(".")[0].upper().strip() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}


@pytest.mark.parametrize("pid", ["0012", "a b", "7~A", "2018/01", "x" * 255, "(a);b", "ä"])
def test_identifiers_that_were_safe_keep_their_folder(pid):
    assert folders.name_of(pid) == quote(pid, safe=" +,;=@()[]!'")


@pytest.mark.parametrize("pid", ["ω" * 50, "β" * 300, "CON", "a ", "a.", "x/y"])
def test_a_folder_says_whose_it_is(lake, workspace, pid):
    lake.add_parcels("ms", 2024, "", "v1", parcels((pid,), [("rye", "2")]))
    parcel_info.by_pid("ms", 2024, pid)
    assert folders.kept(workspace.temp) == {"ms": {"2024": [pid]}}


def test_temp_that_cannot_be_written_is_told(loaded, workspace):
    (workspace.temp / "ms").write_text("in the way")
    with pytest.raises(ConfigError, match=r"info\.json cannot be written: .*; check"):
        parcel_info.by_pid("ms", 2024, "12")


@pytest.mark.parametrize(
    ("x", "y", "found"),
    [
        (50, 50, ["0012"]),
        (0.001, 50, ["0012"]),
        (105, 50, None),
        (STEP + 50, SIDE - 0.001, ["12"]),
        (STEP + 50, SIDE + 0.5, None),
    ],
)
def test_the_parcel_at_a_place(loaded, x, y, found):
    lon, lat = degrees(X + x, Y + y)
    if found is None:
        with pytest.raises(NotFoundError, match="no parcel of ms 2024 at longitude"):
            parcel_info.by_location("ms", 2024, lon, lat)
    else:
        assert parcel_info.by_location("ms", 2024, lon, lat)["pid"] == found


def test_a_place_on_an_edge_belongs_to_every_parcel_that_meets_there(lake, workspace):
    square = {"type": "Polygon"}
    table = parcels(("west", "east"), [("rye", "2")] * 2, epsg=4326)
    shapes = [shapely.box(3, 43, 4, 44), shapely.box(4, 43, 5, 44)]
    boxes = [dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True)) for shape in shapes]
    for name, values in {"geometry": shapely.to_wkb(shapes), "bbox": boxes}.items():
        index = table.column_names.index(name)
        table = table.set_column(index, table.field(index), pa.array(values, table.field(index).type))
    lake.add_parcels("ms", 2024, "", "v1", table)
    answer = parcel_info.by_location("ms", 2024, 4, 43.5)
    assert answer["pid"] == ["east", "west"]
    assert json.loads(answer["geom"][0]).keys() == square.keys() | {"coordinates"}  # degrees have no crs member
    assert parcel_info.by_location("ms", 2024, 3, 43)["pid"] == ["west"]
    assert files(workspace) == ["ms/2024/east/info.json", "ms/2024/west/info.json"]
    assert json.loads((workspace.temp / "ms/2024/east/info.json").read_text())["pid"] == ["east"]


@pytest.mark.parametrize(("lon", "lat"), [(181, 0), (0, 91), (43.5, 120), (float("nan"), 43), (3, float("inf"))])
def test_what_is_no_place_on_earth_is_refused(loaded, lon, lat):
    with pytest.raises(InvalidInputError, match=r"in degrees.*comes first"):
        parcel_info.by_location("ms", 2024, lon, lat)


@pytest.mark.parametrize("place", [(0, 0), (-179, -89), (3, 90)])
def test_a_place_far_away_has_no_parcel(loaded, place):
    with pytest.raises(NotFoundError):
        parcel_info.by_location("ms", 2024, *place)


def test_a_polygon_is_taken_in_every_form(loaded, workspace):
    shape = shapely.union(in_degrees(0), in_degrees(1)).convex_hull
    forms = [
        shape,
        as_text(shape),
        as_text(shape, ","),
        as_text(shape).replace("_", " "),
        mapping(shape),
        json.dumps(mapping(shape)),
        shapely.MultiPolygon([in_degrees(0), in_degrees(1)]),
        {"type": "Feature", "properties": {}, "geometry": mapping(shape)},
    ]
    for form in forms:
        answer = parcel_info.by_polygon("ms", 2024, form, geom=True, only_ids=False)
        assert answer["pid"] == ["0012", "12"]
        assert list(answer) == KEYS
    assert files(workspace) == []


def test_a_polygon_that_only_touches_the_box_of_a_parcel_is_checked_by_shape(lake):
    table = parcels(("triangle",), [("rye", "2")])
    triangle = shapely.Polygon([(X, Y), (X + SIDE, Y), (X, Y + SIDE)])
    index = table.column_names.index("geometry")
    lake.add_parcels("ms", 2024, "", "v1", table.set_column(index, table.field(index), pa.array([triangle.wkb])))
    corner = shapely.transform(
        shapely.box(X + 90, Y + 90, X + 99, Y + 99), lambda xy: [degrees(*point) for point in xy]
    )
    assert parcel_info.by_polygon("ms", 2024, corner)["pid"] == []
    assert parcel_info.by_polygon("ms", 2024, in_degrees(0))["pid"] == ["triangle"]


def test_only_identifiers_are_given_unless_more_is_asked_for(loaded):
    assert parcel_info.by_polygon("ms", 2024, in_degrees(0)) == {"pid": ["0012"]}
    assert list(parcel_info.by_polygon("ms", 2024, in_degrees(0), geom=True)) == ["pid", "geom"]
    assert list(parcel_info.by_polygon("ms", 2024, in_degrees(0), only_ids=False)) == KEYS[:-1]


def test_a_polygon_without_parcels_gives_the_same_keys_with_empty_lists(loaded):
    answer = parcel_info.by_polygon("ms", 2024, shapely.box(10, 50, 11, 51), geom=True, only_ids=False)
    assert answer == {name: [] for name in KEYS}


@pytest.mark.parametrize(
    "polygon",
    [
        "3_43-4_43-4_44-3_44",
        "3_43-4_44-4_43-3_44-3_43",
        "3_43-4_43",
        "nonsense",
        "",
        "3_43-4_x-4_44-3_43",
        "3_43-4_43-4_44--3_43",
        "3-43-4-43-4-44-3-43",
        '{"type": "Polygon"',
        '{"type": "Point", "coordinates": [3, 43]}',
        {"type": "Polygon", "coordinates": [[[3, 43], [4, 43], [4, 44], [3, 44]]]},
        {"type": "Polygon", "coordinates": [[[3, 43], [4, 44], [4, 43], [3, 44], [3, 43]]]},
        shapely.Polygon(),
        shapely.Point(3, 43),
        None,
        17,
    ],
)
def test_what_is_no_polygon_is_refused_in_one_line(loaded, polygon):
    with pytest.raises(InvalidInputError, match="polygon") as caught:
        parcel_info.by_polygon("ms", 2024, polygon)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("-7.5_39.1--7.4_39.1--7.4_39.2--7.5_39.1", [(-7.5, 39.1), (-7.4, 39.1), (-7.4, 39.2), (-7.5, 39.1)]),
        ("-1_-2-1_-2-1_2--1_-2", [(-1, -2), (1, -2), (1, 2), (-1, -2)]),
        ("-7.5 -39.1,-7.4 -39.1 , -7.4 -39.2,-7.5 -39.1", [(-7.5, -39.1), (-7.4, -39.1), (-7.4, -39.2), (-7.5, -39.1)]),
        ("1e-05_43 - 4._43 - 4._44 - 1e-05_43", [(1e-05, 43), (4, 43), (4, 44), (1e-05, 43)]),
    ],
)
def test_a_polygon_west_of_greenwich_or_south_of_the_equator_is_understood(text, points):
    assert polygons.read(text).shape.equals(shapely.Polygon(points))


@given(points=st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=3, max_size=5))
def test_any_ring_written_as_python_writes_numbers_comes_back(points):
    shape = shapely.Polygon(points)
    if shape.is_valid and not shape.is_empty:
        assert polygons.read(as_text(shape)).shape.equals(shape)
        assert polygons.read(as_text(shape, ",").replace("_", " ")).shape.equals(shape)


def test_what_is_done_is_told_to_the_log_when_asked_in_the_call_forms_of_old(filled, caplog, capsys):
    caplog.set_level("DEBUG", "cbm_lake.get")
    place, around = degrees(X + 50, Y + 50), in_degrees(0)
    for debug, lines in ((False, 0), (True, 5)):
        parcel_info.by_pid("ms", 2024, "0012", None, True, False, debug)
        parcel_info.by_location("ms", 2024, *place, None, True, False, debug)
        parcel_info.by_polygon("ms", 2024, around, None, False, False, True, debug)
        time_series.by_pid("ms", 2024, "0012", "s2", None, "", debug)
        time_series.by_location("ms", 2024, *place, "s2", None, "", debug)
        assert len(caplog.records) == lines
    assert "parcel 0012 of ms 2024 written to" in caplog.text
    assert capsys.readouterr().out == ""


def test_a_write_that_fails_leaves_no_draft(loaded, workspace):
    (workspace.temp / "ms/2024/12/info.json").mkdir(parents=True)  # in the way of the file
    with pytest.raises(ConfigError, match=r"info\.json cannot be written"):
        parcel_info.by_pid("ms", 2024, "12")
    assert files(workspace) == []


# -- time series -----------------------------------------------------------------------------------------------------


def test_a_time_series_has_the_columns_of_the_contract_in_order(filled, workspace):
    frame = time_series.by_pid("MS", 2024, "0012")
    assert list(frame.columns) == COLUMNS
    assert list(frame["band"]) == ["B04", "B08", "B04", "B08"]
    first = frame.iloc[0].to_dict()
    assert first == {
        "date_part": pd.Timestamp("2024-01-01 10:40", tz="UTC").timestamp(),
        "band": "B04",
        "count": 100.0,
        "mean": 400.0,
        "std": 10.0,
        "min": 380.0,
        "p25": 393.0,
        "p50": 400.0,
        "p75": 407.0,
        "max": 420.0,
        "hist": {"4": 25},
    }
    assert all(isinstance(first[name], float) for name in COLUMNS if name not in ("band", "hist"))
    assert files(workspace) == ["ms/2024/0012/time_series_s2.csv"]


def test_the_csv_has_an_index_column_and_the_same_order(filled, workspace):
    time_series.by_pid("ms", 2024, "0012")
    rows = list(csv.reader((workspace.temp / "ms/2024/0012/time_series_s2.csv").read_text().splitlines()))
    assert rows[0] == ["", *COLUMNS]
    assert rows[1] == [
        "0",
        "1704105600.0",
        "B04",
        "100.0",
        "400.0",
        "10.0",
        "380.0",
        "393.0",
        "400.0",
        "407.0",
        "420.0",
        "{'4': 25}",
    ]
    assert [row[0] for row in rows[1:]] == ["0", "1", "2", "3"]


def test_one_band_only_has_its_own_file(filled, workspace):
    assert set(time_series.by_pid("ms", 2024, "0012", band="B08")["band"]) == {"B08"}
    assert files(workspace) == ["ms/2024/0012/time_series_s2B08.csv"]


@pytest.mark.parametrize("card", ["bs", "c6"])
def test_radar_has_linear_values_and_no_histogram(loaded, card, workspace):
    row = {**signature("0012"), **band("VV", 0.25), **band("VH", 0.0625)}
    rows = pa.Table.from_pylist([row], schema=schemas.signatures(card))
    write(loaded, rows, parcel_set(), "A", card)
    letter = {"bs": "b", "c6": "c"}[card]
    frame = time_series.by_pid("ms", 2024, "0012", card)
    assert list(frame.columns) == COLUMNS[:-1]
    for name in ("VV", f"VV{letter}"):
        assert set(time_series.by_pid("ms", 2024, "0012", card, band=name)["band"]) == {f"VV{letter}"}
        (workspace.temp / f"ms/2024/0012/time_series_{card}{name}.csv").unlink()
    assert dict(zip(frame["band"], frame["mean"], strict=True)) == {f"VV{letter}": 0.25, f"VH{letter}": 0.0625}
    assert files(workspace) == [f"ms/2024/0012/time_series_{card}.csv"]


UNKNOWN = dict.fromkeys((f"scl_{value}" for value in cards.CLASSES), None)


def test_a_histogram_counts_only_classes_that_are_there(loaded):
    write(loaded, signatures(signature("0012", "A", scl={0: 1, 4: 20, 9: 5})))
    frame = time_series.by_pid("ms", 2024, "0012", band="B04")
    assert [*map(str, frame["hist"])] == ["{'0': 1, '4': 20, '9': 5}"]


def test_images_without_histogram_are_left_out_where_others_have_one(loaded):
    write(loaded, signatures(signature("0012", "B", day(1), **UNKNOWN)), scene="B")
    assert list(time_series.by_pid("ms", 2024, "0012", band="B04")["hist"]) == [{}]
    write(loaded, signatures(signature("0012", "A", scl={4: 20})))
    assert list(time_series.by_pid("ms", 2024, "0012", band="B04")["hist"]) == [{"4": 20}]


def test_scene_classes_alone_come_with_the_numbers_of_their_scenes(loaded, workspace):
    loaded.add_scenes(scenes("A", "B", "C"))
    for name, classes in {"A": {4: 20}, "B": {9: 3, 5: 1}}.items():
        write(loaded, signatures(signature("0012", name, scl=classes)), scene=name)
    write(loaded, signatures(signature("0012", "C", **UNKNOWN)), scene="C")
    frame = time_series.by_pid("ms", 2024, "0012", "scl")
    numbers = {row["id"]: row["obsid"] for row in loaded.sql("select id, obsid from scenes").to_pylist()}
    expected = sorted([(numbers["A"], {"4": 20}), (numbers["B"], {"5": 1, "9": 3})])
    assert list(zip(frame["obsid"], frame["hist"], strict=True)) == expected
    assert files(workspace) == ["ms/2024/0012/time_series_scl.csv"]


def test_a_parcel_that_was_not_extracted_yet_has_no_rows_but_columns(loaded, workspace):
    frame = time_series.by_pid("ms", 2024, "0012")
    assert frame.empty
    assert list(frame.columns) == COLUMNS
    assert files(workspace) == ["ms/2024/0012/time_series_s2.csv"]


def test_an_unknown_parcel_has_no_time_series(filled, workspace):
    with pytest.raises(NotFoundError, match="no parcel '012' in ms 2024"):
        time_series.by_pid("ms", 2024, "012")
    assert files(workspace) == []


@pytest.mark.parametrize("tstype", ["S2", "SCL", "ndvi", "crop_ndvi", "../x", ""])
def test_an_unknown_card_is_refused(filled, tstype):
    with pytest.raises(InvalidInputError, match="unknown card"):
        time_series.by_pid("ms", 2024, "0012", tstype)


@pytest.mark.parametrize(("tstype", "name"), [("s2", "B9"), ("s2", "VV"), ("bs", "B04"), ("s2", "../x")])
def test_an_unknown_band_is_refused(filled, tstype, name):
    with pytest.raises(InvalidInputError, match=f"card {tstype} has no band"):
        time_series.by_pid("ms", 2024, "0012", tstype, band=name)


def test_parcel_sets_of_the_same_year_are_kept_apart(filled):
    fill(filled, names=("Z",), pids=("0012",), ptype="m")
    assert set(time_series.by_pid("ms", 2024, "0012", ptype="m")["date_part"]) == {1704105600.0}
    assert len(time_series.by_pid("ms", 2024, "0012")) == 4


def test_the_time_series_at_a_place_is_that_of_the_parcel_there(filled):
    lon, lat = degrees(X + STEP + 50, Y + 50)
    assert time_series.by_location("ms", 2024, lon, lat).equals(time_series.by_pid("ms", 2024, PIDS[1]))
    with pytest.raises(NotFoundError):
        time_series.by_location("ms", 2024, *degrees(X + 105, Y + 50))


def test_a_lake_can_be_given(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", str(tmp_path / "another"))
    with pytest.raises(NotFoundError):
        time_series.by_pid("ms", 2024, "0012")
    assert len(time_series.by_pid("ms", 2024, "0012", lake=filled)) == 4
    assert DAY.year == 2024
