"""The parcels of two years in a lake are related by the areas that they share; nothing of these is lost."""

import logging
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely
from shapely import box
from typer.testing import CliRunner

from cbm_lake import cli, parcels, show
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import open_lake, schemas
from cbm_lake.parcels.lineage import in_words

X, Y = 600_000, 6_700_000
BEFORE = {
    "same": (0, 100),
    "cut": (100, 200),
    "left": (200, 300),
    "right": (300, 400),
    "shifted": (400, 500),
    "old": (900, 1000),
}
AFTER = {
    "same": (0, 100),
    "cut1": (100, 160),
    "cut2": (160, 200),
    "both": (200, 400),
    "shifted": (420, 520),
    "young": (600, 700),
}


def strip(ends):
    return {name: box(X + first, Y, X + last, Y + 100) for name, (first, last) in ends.items()}


def load(folder, year, shapes, aoi="aa", ptype=None, crs=2154):
    file = folder / f"{aoi}{year}{ptype}.gpkg"
    gpd.GeoDataFrame({"pid": list(shapes)}, geometry=list(shapes.values()), crs=crs).to_file(file)
    return parcels.load(file, aoi, year, ptype, pid="pid")


@pytest.fixture
def two_years(lake, tmp_path):
    load(tmp_path, 2023, strip(BEFORE))
    load(tmp_path, 2024, strip(AFTER))
    return lake


def pairs(rows):
    return {(row["pid_before"], row["pid"]): row["relation"] for row in rows.to_pylist()}


EXPECTED = {
    ("same", "same"): "same",
    ("cut", "cut1"): "split",
    ("cut", "cut2"): "split",
    ("left", "both"): "merged",
    ("right", "both"): "merged",
    ("shifted", "shifted"): "moved",
    (None, "young"): "new",
    ("old", None): "gone",
}


def test_relations_and_shares_of_two_years_are_in_the_lake(two_years):
    rows = parcels.lineage("aa", 2023, 2024)
    assert pairs(rows) == EXPECTED
    by_pair = {(row["pid_before"], row["pid"]): row for row in rows.to_pylist()}
    cut = by_pair["cut", "cut1"]
    assert (cut["share"], cut["share_before"]) == (pytest.approx(1, abs=1e-9), pytest.approx(0.6, abs=1e-9))
    assert cut["shared_m2"] == pytest.approx(cut["area_m2"]) == pytest.approx(6000, rel=0.01)
    assert by_pair["old", None] | {"area_before_m2": 0} == {
        **{name: cut[name] for name in ("aoi", "year", "ptype", "year_before", "ptype_before", "least_share")},
        **{name: cut[name] for name in ("version", "version_before")},
        "pid": None,
        "pid_before": "old",
        "relation": "gone",
        "area_m2": None,
        "area_before_m2": 0,
        "shared_m2": 0,
        "share": None,
        "share_before": 0,
    }
    assert by_pair[None, "young"]["share"] == by_pair[None, "young"]["shared_m2"] == 0
    assert by_pair[None, "young"]["share_before"] is by_pair[None, "young"]["area_before_m2"] is None
    in_lake = two_years.query("lineage.of", aoi="aa", year=2024, ptype="", year_before=2023, ptype_before="", pids=None)
    assert in_lake.to_pylist() == rows.select(in_lake.column_names).to_pylist()
    assert in_words(rows) == "1 same, 1 moved, 2 split, 2 merged, 1 new, 1 gone"


def test_the_order_of_the_years_does_not_matter_and_a_second_call_replaces_the_first(two_years):
    parcels.lineage("aa", 2024, 2023)
    parcels.lineage("aa", "2023", "2024", least_share=0.3)
    rows = two_years.sql("select distinct least_share, year, year_before from lineage").to_pylist()
    assert rows == [{"least_share": 0.3, "year": 2024, "year_before": 2023}]


def test_lineages_of_other_years_and_parcel_sets_stay(two_years, tmp_path):
    load(tmp_path, 2022, strip(BEFORE))
    load(tmp_path, 2024, strip(BEFORE), ptype="lpis")
    parcels.lineage("aa", 2023, 2024)
    parcels.lineage("aa", 2022, 2024)
    parcels.lineage("aa", 2024, 2024, ptype_before="lpis")
    parcels.lineage("aa", 2023, 2024, "lpis", ptype_before="")
    sets = two_years.sql("select year, ptype, year_before, ptype_before, count(*) as n from lineage group by all")
    assert sorted(tuple(row.values()) for row in sets.to_pylist()) == [
        (2024, "", 2022, "", 8),
        (2024, "", 2023, "", 8),
        (2024, "", 2024, "lpis", 8),
        (2024, "lpis", 2023, "", 6),
    ]


@pytest.mark.parametrize(
    ("years", "options", "error", "words"),
    [
        ((2024, 2024), {}, InvalidInputError, "both years are 2024; give two years"),
        ((2024, 2024), {"ptype_before": ""}, InvalidInputError, "give two years"),
        ((2019, 2024), {}, NotFoundError, "no parcels of aa 2019 in this lake; there are: aa 2023, aa 2024"),
        ((2023, 2024), {"ptype": "m"}, NotFoundError, "no parcels of aa 2024 m"),
        ((2023, 2024), {"ptype_before": "m"}, NotFoundError, "no parcels of aa 2023 m"),
        ((2023, 2024), {"least_share": 0.5}, InvalidInputError, "least_share=0.5 is not right"),
        ((2023, 2024), {"least_share": -0.1}, InvalidInputError, "least_share=-0.1 is not right"),
        ((2023, 2024), {"least_share": float("nan")}, InvalidInputError, "least_share=nan is not right"),
        ((2023, "last"), {}, InvalidInputError, "year_b='last' is not right"),
    ],
)
def test_what_cannot_be_related_is_refused_in_plain_words(two_years, years, options, error, words):
    with pytest.raises(error) as caught:
        parcels.lineage("aa", *years, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert two_years.sql("from lineage").num_rows == 0


def test_one_parcel_each_is_enough(lake, tmp_path):
    load(tmp_path, 2023, {"a": box(X, Y, X + 10, Y + 10)})
    load(tmp_path, 2024, {"b": box(X, Y, X + 10, Y + 10)})
    assert pairs(parcels.lineage("aa", 2023, 2024)) == {("a", "b"): "same"}


def test_all_shares_of_a_parcel_and_what_is_uncovered_sum_up_to_one(lake, tmp_path):
    rng = np.random.default_rng(1)
    frame = box(X, Y, X + 1000, Y + 1000)
    years = {}
    for year in (2023, 2024):
        points = rng.uniform(0, 1000, (60, 2)) + np.array([X, Y])
        cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points), extend_to=frame))
        cells = [cell.intersection(frame) for cell in cells if cell.intersects(frame)][:50]  # some of it is undeclared
        years[year] = {f"{number}": cell for number, cell in enumerate(cells) if cell.area > 1}
        load(tmp_path, year, years[year])
    rows = parcels.lineage("aa", 2023, 2024).to_pandas()
    for year, pid, share in ((2024, "pid", "share"), (2023, "pid_before", "share_before")):
        other = shapely.union_all(list(years[4047 - year].values()))
        sums = rows.groupby(pid)[share].sum()
        for name, shape in years[year].items():
            assert sums[name] + shape.difference(other).area / shape.area == pytest.approx(1, abs=1e-9)
    uncovered = lake.query("lineage.uncovered", aoi="aa", year=2024, ptype="", year_before=2023, ptype_before="")
    sums = rows.groupby("pid")["share"].sum()
    assert uncovered["uncovered"].to_pylist() == pytest.approx([1 - sums[pid] for pid in uncovered["pid"].to_pylist()])
    assert (rows["relation"] == "sliver").any()


def test_shares_equal_those_of_shapely(two_years):
    rows = parcels.lineage("aa", 2023, 2024).to_pylist()
    before, after = strip(BEFORE), strip(AFTER)
    for row in rows:
        if row["pid"] and row["pid_before"]:
            shared = before[row["pid_before"]].intersection(after[row["pid"]]).area
            assert row["share"] == pytest.approx(shared / after[row["pid"]].area, abs=1e-9)
            assert row["share_before"] == pytest.approx(shared / before[row["pid_before"]].area, abs=1e-9)


def test_years_in_different_coordinate_systems_are_compared_in_that_of_the_later(lake, tmp_path, caplog):
    """Which a lake of the loader's never has: its parcels are in the system of the area's first."""
    load(tmp_path, 2024, strip(AFTER))
    other = gpd.GeoSeries(list(strip(BEFORE).values()), crs=2154).to_crs(32631)
    table = pa.Table.from_pylist(
        [
            {"id": pid, "geometry": shape.wkb, "area": 1.0, "epsg": 32631, "centroid_lon": 0.0, "centroid_lat": 0.0}
            for pid, shape in zip(BEFORE, other, strict=True)
        ],
        schema=schemas.PARCELS,
    )
    lake.add_parcels("aa", 2023, "", "v1", table)
    assert pairs(parcels.lineage("aa", 2023, 2024)) == EXPECTED
    assert "parcels of aa 2023 are in EPSG:32631; they are reprojected to EPSG:2154" in caplog.text


def test_invalid_geometries_are_repaired_and_it_is_said(lake, tmp_path, caplog):
    load(tmp_path, 2024, strip(AFTER))
    bow_tie = shapely.Polygon([(X, Y), (X + 100, Y + 100), (X + 100, Y), (X, Y + 100)])
    rows = [
        {"id": "tie", "geometry": bow_tie.wkb, "area": 0.5, "epsg": 2154, "centroid_lon": 0.0, "centroid_lat": 0.0},
        {
            "id": "none",
            "geometry": shapely.Polygon().wkb,
            "area": 0.0,
            "epsg": 2154,
            "centroid_lon": 0.0,
            "centroid_lat": 0.0,
        },
    ]
    lake.add_parcels("aa", 2023, "", "v1", pa.Table.from_pylist(rows, schema=schemas.PARCELS))
    by_pair = {(row["pid_before"], row["pid"]): row for row in parcels.lineage("aa", 2023, 2024).to_pylist()}
    assert by_pair["tie", "same"]["share"] == pytest.approx(0.5)
    assert by_pair["none", None]["relation"] == "gone"
    assert "1 geometries of aa 2023 are invalid and were repaired to be compared" in caplog.text


def test_parcels_of_a_year_that_overlap_each_other_are_said(lake, tmp_path, caplog):
    square = box(X, Y, X + 100, Y + 100)
    load(tmp_path, 2023, {"one": square, "other": square})
    load(tmp_path, 2024, {"a": square})
    rows = parcels.lineage("aa", 2023, 2024)
    assert pairs(rows) == {("one", "a"): "same", ("other", "a"): "same"}
    assert "1 parcels of aa 2024 lie where parcels of aa 2023 overlap each other" in caplog.text


# -- displaced parcels -------------------------------------------------------------------------------------------------


def odd(x, y, size=10):
    """A triangle that no other size looks like."""
    return shapely.Polygon([(X + x, Y + y), (X + x + size, Y + y), (X + x, Y + y + 2 * size)])


def test_the_same_outline_elsewhere_has_moved(lake, tmp_path):
    load(
        tmp_path,
        2023,
        {"near": odd(0, 0), "far": odd(1000, 0, 11), "gone": odd(2000, 0, 12), "other": odd(3000, 0, 13)},
    )
    load(
        tmp_path,
        2024,
        {"again": odd(12, 3), "far": odd(1000, 5000, 11), "new": odd(2000, 900, 12), "other": odd(3050, 0)},
    )
    rows = parcels.lineage("aa", 2023, 2024)
    assert pairs(rows) == {
        ("near", "again"): "moved",  # no farther than its own size
        ("far", "far"): "moved",  # the same identifier
        ("gone", None): "gone",
        (None, "new"): "new",
        ("other", None): "gone",  # another size
        (None, "other"): "new",
    }
    moved = [row for row in rows.to_pylist() if row["relation"] == "moved"]
    assert {(row["share"], row["share_before"], row["shared_m2"]) for row in moved} == {(0, 0, 0)}


def test_each_parcel_has_moved_to_one_place_only(lake, tmp_path):
    load(tmp_path, 2023, {"a": odd(0, 0)})
    load(tmp_path, 2024, {"b": odd(-11, 0), "c": odd(11, 1)})
    assert pairs(parcels.lineage("aa", 2023, 2024)) == {("a", "b"): "moved", (None, "c"): "new"}


# -- versions ----------------------------------------------------------------------------------------------------------


def outdated(lake):
    return lake.query("lineage.outdated").to_pylist()


def test_a_lineage_of_parcels_that_were_loaded_again_is_outdated(two_years, tmp_path, caplog):
    parcels.lineage("aa", 2023, 2024)
    assert outdated(two_years) == []
    loaded = load(tmp_path, 2024, strip({**AFTER, "young": (610, 700)}))
    (row,) = outdated(two_years)
    assert (row["version_in_force"], row["version_before"]) == (loaded.version, row["version_before_in_force"])
    assert any("the lineage of aa 2024 from aa 2023 was computed of" in note for note in loaded.notes)
    parcels.lineage("aa", 2023, 2024)
    assert outdated(two_years) == []


def test_other_attributes_make_no_lineage_outdated(two_years, tmp_path):
    parcels.lineage("aa", 2023, 2024)
    file = tmp_path / "crops.gpkg"
    shapes = strip(AFTER)
    gpd.GeoDataFrame(
        {"pid": list(shapes), "crop": [f"c{number}" for number in range(6)]}, geometry=list(shapes.values()), crs=2154
    ).to_file(file)
    loaded = parcels.load(file, "aa", 2024, pid="pid", crop_name="crop")
    assert loaded.new
    assert outdated(two_years) == []
    assert not any("lineage" in note for note in loaded.notes)


def test_a_lake_as_it_was_is_compared_and_not_written_to(two_years, tmp_path, caplog):
    before = open_lake(as_of="2100-01-01")
    caplog.set_level(logging.INFO)
    assert pairs(parcels.lineage("aa", 2023, 2024, lake=before)) == EXPECTED
    assert two_years.sql("from lineage").num_rows == 0
    assert "is not written to" in caplog.text


# -- questions, export, map --------------------------------------------------------------------------------------------


def test_crops_of_before_come_with_their_share_of_the_parcel(lake, tmp_path):
    for year, ends, crops in (
        (2023, BEFORE, ["wheat", "maize", "wheat", "grass", "rape", "rape"]),
        (2024, AFTER, ["rape", "rape", "rape", "maize", "maize", "maize"]),
    ):
        shapes = strip(ends)
        file = tmp_path / f"{year}.gpkg"
        gpd.GeoDataFrame({"pid": list(shapes), "crop": crops}, geometry=list(shapes.values()), crs=2154).to_file(file)
        parcels.load(file, "aa", year, pid="pid", crop_name="crop")
    parcels.lineage("aa", 2023, 2024)
    rows = lake.query(
        "lineage.crops_before", aoi="aa", year=2024, ptype="", year_before=2023, ptype_before=""
    ).to_pylist()
    before = [(row["pid"], row["crop_name"], row["crop_name_before"], round(row["share"], 6)) for row in rows]
    assert before == [
        ("both", "maize", "grass", 0.5),
        ("both", "maize", "wheat", 0.5),
        ("cut1", "rape", "maize", 1),
        ("cut2", "rape", "maize", 1),
        ("same", "rape", "wheat", 1),
        ("shifted", "maize", "rape", 0.8),
    ]


def test_the_command_line_prints_exports_and_draws(two_years, tmp_path):
    command = ["parcels", "lineage", "aa", "2023", "2024"]
    done = CliRunner().invoke(
        app,
        [*command, "--to", str(tmp_path / "out.gpkg"), "--figure", str(tmp_path / "out.png")],
        catch_exceptions=False,
    )
    assert "7 rows written" not in done.output
    assert "8 rows written" in done.output
    assert "1 same, 1 moved, 2 split, 2 merged, 1 new, 1 gone" in done.output
    frame = gpd.read_file(tmp_path / "out.gpkg")
    assert len(frame) == 8
    assert frame.crs == 2154
    assert not frame.geometry.isna().any()
    assert frame.set_index("pid_before").loc["old"].geometry.equals(strip(BEFORE)["old"])
    assert (tmp_path / "out.png").stat().st_size > 10_000
    done = CliRunner().invoke(app, [*command, "--to", str(tmp_path / "out.csv"), "--pid", "cut", "--format", "csv"])
    assert done.exit_code == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 9
    assert done.output.count("split") == 2


def test_messages_of_the_command_line_name_options(two_years):
    done = CliRunner().invoke(app, ["parcels", "lineage", "aa", "2024", "2024"])
    assert (done.exit_code, "ptype_before" in str(done.exception)) == (1, False)
    assert "--ptype-before" in str(done.exception)
    done = CliRunner().invoke(app, ["parcels", "lineage", "aa", "2023", "2024", "--least-share", "2"])
    assert "--least-share 2" in str(done.exception)


def test_a_map_without_lineage_says_what_to_do(two_years):
    with pytest.raises(NotFoundError, match=r"compute it first \(cbm-lake parcels lineage\)"):
        show.lineage.by_relation("aa", 2023, 2024)
    parcels.lineage("aa", 2023, 2024)
    with pytest.raises(NotFoundError, match="these parcels"):
        show.lineage.by_relation("aa", 2023, 2024, pids=["nobody"])


def test_a_map_shows_each_relation_in_its_colour(two_years):
    parcels.lineage("aa", 2023, 2024)
    figure = show.lineage.by_relation("aa", 2024, 2023)
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [
        *("same (1)", "moved (1)", "split (2)", "merged (1)", "new (1)", "gone (1)"),
        "earlier boundaries",
    ]
    few = show.lineage.by_relation("aa", 2024, 2023, pids=["cut"])
    assert [text.get_text() for text in few.axes[0].get_legend().get_texts()] == ["split (2)", "earlier boundaries"]


def test_pseudonymous_files_hide_the_identifiers_of_both_years(two_years, tmp_path):
    parcels.lineage("aa", 2023, 2024)
    two_years.export("lineage", tmp_path / "out.csv", pseudonymous=True)
    text = (tmp_path / "out.csv").read_text()
    assert not any(f"{pid}," in text for pid in {*BEFORE, *AFTER} - {"same"})


def test_the_sql_of_the_documentation_runs(two_years):
    parcels.lineage("aa", 2023, 2024)
    page = (Path(__file__).parents[2] / "docs" / "lineage.md").read_text()
    statements = [block.split("```")[0].replace("'ms'", "'aa'") for block in page.split("```sql")[1:]]
    crops, again, hectares = (two_years.sql(statement) for statement in statements)
    assert crops["share"].to_pylist() == pytest.approx([1, 1, 1, 1, 0.8])
    assert again.num_rows == 0
    assert dict(zip(hectares["relation"].to_pylist(), hectares["pairs"].to_pylist(), strict=True)) == {
        "merged": 2,
        "split": 2,
        "same": 1,
        "moved": 1,
        "new": 1,
        "gone": 1,
    }


def test_an_identifier_of_neither_year_is_refused_by_name(two_years, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cbm-lake", "parcels", "lineage", "aa", "2023", "2024", "--pid", "nobody"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "error: no parcel of either year has the identifier nobody" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "file"), [("--to", "rows.doc"), ("--figure", "map.gif")])
def test_a_file_that_cannot_be_written_is_refused_before_parcels_are_related(
    two_years, monkeypatch, capsys, option, file
):
    monkeypatch.setattr("sys.argv", ["cbm-lake", "parcels", "lineage", "aa", "2023", "2024", option, file])
    with pytest.raises(SystemExit):
        cli.main()
    assert f"error: {file} cannot be written" in capsys.readouterr().err
    assert two_years.sql("from lineage").num_rows == 0
