"""season.yaml is read to its end before a night begins: all that is wrong is said at once, by line and key."""

import errno
import os
import zipfile

import geopandas as gpd
import pytest
import small_season

from cbm_lake import parcels, season
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake
from cbm_lake.season import targets

FILE = """
season: {start: 2024-03-01, end: 2024-10-31}
areas:
  - {aoi: ms, year: 2024, parcels: {path: ms.gpkg, pid: pid, crop_name: crop}}
sources:
  - {items: items, card: s2}
extract:
  s2: {bands: [B04, B08], indices: [ndvi], statistics: [p10]}
exports:
  - {what: lights, path: out/lights.csv}
  - {what: parcels.latest_ndvi, path: out/ndvi.parquet, params: {aoi: ms, year: 2024, screen: null}}
  - {what: "select pid, NDVI_mean, B04_p10 from s2", path: out/pixels.csv}
  - {what: parcels, path: out/parcels.gpkg}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with inputs, and a lake with parcels of ms 2024 of which nothing was extracted."""
    folder = tmp_path_factory.mktemp("wrong")
    small_season.parcels(folder, "ms", 12)
    (folder / "items").mkdir()
    (folder / "afile").write_text("x")
    (folder / "out").mkdir()
    (folder / "link").symlink_to(folder / "out")
    parcels.load(folder / "ms.gpkg", "ms", 2024, pid="pid", crop_name="crop", lake=Lake(str(folder / "lake")))
    return folder


def wrong(folder, text):
    """The lines that say what is wrong, without the file."""
    file = folder / "season.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        season.read(file, Lake(str(folder / "lake")))
    assert all(line.startswith(str(file)) for line in str(caught.value).splitlines())
    return [line.removeprefix(str(file)).removeprefix(":") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        (["{aoi: MS, year: 2024}"], ["5: areas[1]: area ms 2024 stands there twice"]),
        (
            ["{aoi: nl, year: 2024}", "{aoi: nl, year: 2024}"],
            ["5: areas[1]: no parcels of nl 2024 are", "6: areas[2]: area nl 2024 stands there twice"],
        ),
        (
            ["{aoi: nl, year: 2024, parcels: {path: ms.gpkg, pid: pid}}", "{aoi: nl, year: 2024}"],
            ["6: areas[2]: area nl"],
        ),
        (["{aoi: nl, year: 2024}", "{aoi: ms, year: 2024, ptype: m}"], ["5: areas[1]: no", "6: areas[2]: no"]),
    ],
)
def test_an_area_that_is_named_twice_is_one_line(tmp_path, more, lines):
    small_season.parcels(tmp_path, "ms", 12)
    (tmp_path / "items").mkdir()
    area = "parcels: {path: ms.gpkg, pid: pid, crop_name: crop}}\n"
    text = FILE.replace(area, area + "".join(f"  - {one}\n" for one in more)).partition("exports:")[0]
    said = wrong(tmp_path, text)
    assert len(said) == len(lines), said
    assert all(one.startswith(start) for one, start in zip(said, lines, strict=True)), said


@pytest.mark.parametrize("kind", ["gpkg", "parquet", "csv", "zip", "geojson", "shp"])
@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("pid: parcel_id, crop_name: crop, crop_code: 'code'", []),
        ("pid: 'crop,parcel_id'", []),
        ("pid: fid", []),
        ("crop_name: crop", []),
        ("pid: parcelid", ["pid: FILE: there is no column 'parcelid'; did you mean 'parcel_id'?"]),
        ("pid: 'crop,parcel_if'", ["pid: FILE: there is no column 'parcel_if'; did you mean 'parcel_id'?"]),
        ("pid: parcel_id, crop_name: Crop", ["crop_name: FILE: there is no column 'Crop'; did you mean 'crop'?"]),
        (
            "pid: x, crop_name: kulur, crop_code: zzzz",
            ["pid: FILE: there is no column 'x'; there are: ", "crop_name: FILE: ", "crop_code: FILE: "],
        ),
    ],
)
def test_columns_that_a_parcel_file_has_not_are_said_before_anything_is_done(tmp_path, kind, options, lines):
    text = FILE.partition("exports:")[0].replace("ms.gpkg, pid: pid, crop_name: crop", f"own.{kind}, {options}")
    _parcel_file(tmp_path, kind)
    (tmp_path / "items").mkdir()
    if not lines:
        (tmp_path / "season.yaml").write_text(text)
        assert season.read(tmp_path / "season.yaml", Lake(str(tmp_path / "lake")))
        return
    said = wrong(tmp_path, text)
    assert len(said) == len(lines), said
    starts = [f"4: areas[0].parcels.{line.replace('FILE', f'own.{kind}')}" for line in lines]
    assert all(one.startswith(start) for one, start in zip(said, starts, strict=True)), said


def _parcel_file(folder, kind):
    columns = {"parcel_id": ["1", "2"], "crop": ["a", "b"], "code": ["7", "8"]}
    frame = gpd.GeoDataFrame(columns, geometry=small_season.SQUARES[:2], crs="EPSG:32631")
    if kind == "parquet":
        frame.to_parquet(folder / "own.parquet")
    elif kind == "csv":
        frame.to_wkt().to_csv(folder / "own.csv", index=False)
    elif kind == "zip":
        frame.to_file(folder / "inner.gpkg")
        with zipfile.ZipFile(folder / "own.zip", "w") as archive:
            archive.write(folder / "inner.gpkg", "inner.gpkg")
    else:
        frame.to_file(folder / f"own.{kind}")


def test_columns_beyond_ascii_in_a_shapefile_are_there(tmp_path):
    columns = {"nr": ["1", "2"], "kultúra": ["a", "b"]}
    frame = gpd.GeoDataFrame(columns, geometry=small_season.SQUARES[:2], crs="EPSG:32631")
    frame.to_file(tmp_path / "own.shp", encoding="cp1250")
    (tmp_path / "own.cpg").unlink()
    (tmp_path / "items").mkdir()
    own = "own.shp, pid: nr, crop_name: kultúra, encoding: cp1250"
    text = FILE.partition("exports:")[0].replace("ms.gpkg, pid: pid, crop_name: crop", own)
    (tmp_path / "season.yaml").write_text(text)
    assert season.read(tmp_path / "season.yaml", Lake(str(tmp_path / "lake")))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("layer: two, pid: pid", "layer: "),
        ("pid: pid, encoding: utf8000", "encoding: "),
        ("pid: parcel_id, crs: 'EPSG:0'", "crs: 'EPSG:0' is no coordinate system; write it as EPSG:2154"),
    ],
)
def test_a_layer_an_encoding_or_a_system_that_there_is_not_is_said(folder, options, line):
    text = FILE.partition("exports:")[0].replace("pid: pid, crop_name: crop", options)
    said = wrong(folder, text)
    assert any(one.startswith(f"4: areas[0].parcels.{line}") for one in said), said


def test_names_of_columns_are_read_without_the_rows(folder, monkeypatch):
    monkeypatch.setattr(parcels.vectors, "read_noted", lambda *_args, **_options: pytest.fail("rows are read"))
    (folder / "season.yaml").write_text(FILE)
    season.read(folder / "season.yaml", Lake(str(folder / "lake")))


@pytest.mark.parametrize("content", [b"nothing", b""])
def test_a_parcel_file_that_cannot_be_read_is_left_to_its_step(tmp_path, content):
    (tmp_path / "ms.gpkg").write_bytes(content)
    (tmp_path / "items").mkdir()
    (tmp_path / "season.yaml").write_text(FILE.partition("exports:")[0])
    assert season.read(tmp_path / "season.yaml", Lake(str(tmp_path / "lake")))


def test_what_is_right_is_accepted_with_columns_that_extraction_will_bring(folder):
    (folder / "season.yaml").write_text(FILE)
    assert len(season.read(folder / "season.yaml", Lake(str(folder / "lake"))).exports) == 4


@pytest.mark.parametrize(
    "statement",
    ["from s2;", "from s2; -- ä;", "-- ä;\nselect ';ä' as text from s2 -- b;\n;", "with a as (from s2) from a;;"],
)
def test_an_export_may_end_with_semicolons_and_comments(folder, statement):
    indented = statement.replace("\n", "\n      ")
    (folder / "season.yaml").write_text(FILE + f"  - path: out/more.csv\n    what: |\n      {indented}\n")
    assert season.read(folder / "season.yaml", Lake(str(folder / "lake"))).exports[4].what.strip() == statement


LIGHTS = "{what: lights, path: out/lights.csv}"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        # values of registries
        ("bands: [B04, B08]", "bands: [B04, B8]", "8: extract.s2.bands: card s2 has no band B8; choose from"),
        (
            "ndvi], statistics",
            "ndvi, ndvj], statistics",
            "8: extract.s2.indices: there is no index 'ndvj'; choose from",
        ),
        ("[p10]", "[p10, p11]", "8: extract.s2.statistics: there is no statistic 'p11'; choose from"),
        ("statistics: [p10]", "statistics: [p10], inner_buffer: 500", "8: extract.s2.inner_buffer: "),
        (
            "statistics: [p10]",
            "statistics: [p10], rule: coverge",
            "8: extract.s2.rule: unknown rule 'coverge'; did you mean 'coverage'?",
        ),
        ("statistics: [p10]", "statistics: [p10], dilate: 101", "8: extract.s2.dilate: "),
        (
            "statistics: [p10]",
            "statistics: [p10], mask: cloud",
            "8: extract.s2.mask: the mask 'cloud' does not say which",
        ),
        (
            "statistics: [p10]",
            "statistics: [p10], mask: nowhere/masks = 1",
            "8: extract.s2.mask: there is no folder nowhere/masks",
        ),
        ("card: s2", "card: s3", "6: sources[0].card: there is no card 's3'; there are: s2, bs"),
        (
            "lights, path",
            "lightz, path",
            "10: exports[0].what: there is no view or query 'lightz'; did you mean 'lights'?",
        ),
        ("parcels.latest_ndvi", "parcels.latest_ndvj", "11: exports[1].what: there is no view or query"),
        # statements
        ('"select pid, NDVI_mean', '"selct pid, NDVI_mean', "12: exports[2].what: this SQL cannot be run"),
        ('"select pid, NDVI_mean', '"select pid, NDWI_mean', "12: exports[2].what: this SQL cannot be run"),
        (
            '"select pid, NDVI_mean, B04_p10 from s2"',
            '"select 1; select 2"',
            "12: exports[2].what: this SQL is not one",
        ),
        ('"select pid, NDVI_mean, B04_p10 from s2"', '"drop table s2"', "12: exports[2].what: this SQL is not one"),
        ("year: 2024, screen", "screen", "11: exports[1].what: this SQL cannot be run"),
        ("screen: null", "screen: null, yeer: 1", "11: exports[1].what: this SQL cannot"),
        ("out/lights.csv", "out/lights.gpkg", "10: exports[0].what: cannot export to 'lights.gpkg'"),
        (
            "out/lights.csv",
            "out/lights.shp",
            "10: exports[0].path: cannot export to 'out/lights.shp': its name ends in",
        ),
        # files
        (
            "out/pixels.csv",
            "./out/../out/lights.csv",
            "12: exports[2].path: ./out/../out/lights.csv: is the file of exports[0]",
        ),
        ("out/pixels.csv", "link/lights.csv", "12: exports[2].path: link/lights.csv: is the file of exports[0]"),
        (
            "out/pixels.csv",
            "out/Lights.CSV",
            "12: exports[2].path: out/Lights.CSV: is the file of exports[0], too, but for",
        ),
        (
            "out/parcels.gpkg",
            "ms.gpkg",
            "13: exports[3].path: ms.gpkg: is the file of areas[0].parcels.path, which is read",
        ),
        ("out/pixels.csv", "items/x.csv", "12: exports[2].path: items/x.csv: lies in the folder of sources[0].items"),
        ("out/pixels.csv", "lake/x.csv", "12: exports[2].path: lake/x.csv: lies in the lake"),
        ("out/pixels.csv", "afile/x.csv", "12: exports[2].path: afile/x.csv: "),
        ("out/pixels.csv", "afile/deeper/x.csv", "12: exports[2].path: afile/deeper/x.csv: "),
        ("out/lights.csv", "s3://b/lights.csv", "10: exports[0].path: exports are files of this machine, not s3://b"),
        ("ms.gpkg", "mz.gpkg", "4: areas[0].parcels.path: there is no mz.gpkg"),
        ("items: items", "items: itmes", "6: sources[0].items: there is no itmes"),
        ("items: items, card: s2", "geoparquet: x.parquet", "6: sources[0].geoparquet: there is no x.parquet"),
        ("items: items, card: s2", "products: afile", "6: sources[0].products: afile is a file"),
        (
            "items: items, card: s2",
            "products: 'https://x/y'",
            "6: sources[0].products: products are read from a folder",
        ),
        ("items: items", "items: 'ftp://x/y'", "6: sources[0].items: ftp://x/y: nothing is read by ftp://"),
        ("items: items", "files: 'nowhere/S2_{date}.tif'", "6: sources[0].files: there is no nowhere"),
        ("items: items", "stac: 'ftp://x/y'", "6: sources[0].stac: 'ftp://x/y' is no STAC API"),
        (
            "aoi: ms, year: 2024, parcels: {path: ms.gpkg, pid: pid, crop_name: crop}",
            "aoi: nl, year: 2024",
            "4: areas[0]: no parcels of nl 2024",
        ),
        # dates
        ("start: 2024-03-01", "start: 2024-11-01", "2: season: the dates are reversed"),
        ("start: 2024-03-01", "start: 20240301", "2: season.start: 20240301 is no day"),
        ("start: 2024-03-01", "start: 2024-02-30", "2: season.start: '2024-02-30' is no day"),
        (
            "items: items, card: s2",
            "stac: cdse, start: 2025-01-01",
            "6: sources[0].start: 2025-01-01 is outside the season",
        ),
        (
            "year: 2024, parcels",
            "year: 2023, parcels",
            "4: areas[0].year: season 2024-03-01 to 2024-10-31 has no day of 2023",
        ),
        # types
        (
            "year: 2024, parcels",
            "year: '2024', parcels",
            "4: areas[0].year: '2024' is a text, where a whole number is due; write it without",
        ),
        (
            "year: 2024, parcels",
            "year: 2024.5, parcels",
            "4: areas[0].year: 2024.5 is a number, where a whole number is due",
        ),
        (
            "statistics: [p10]",
            "statistics: [p10], inner_buffer: '5'",
            "8: extract.s2.inner_buffer: '5' is a text, where a number is due",
        ),
        (
            "statistics: [p10]",
            "statistics: [p10], cube: yes",
            "8: extract.s2.cube: 'yes' is a text, where true or false is due",
        ),
        ("pid: pid", "pid: 7", "4: areas[0].parcels.pid: 7 is a number, where a text is due; write it in quotes: '7'"),
        ("exports:\n", "workers: two\nexports:\n", "9: workers: 'two' is a text, where a whole number is due"),
        ("exports:\n", "workers: 257\nexports:\n", "9: workers: 257 is not right: at most 256 is due"),
        ("exports:\n", "workers: 100000\nexports:\n", "9: workers: 100000 is not right: at most 256 is due"),
        (
            "exports:\n",
            "markers: {scenarios: []}\nexports:\n",
            "9: markers.scenarios: is empty; leave it out for all, or write markers: null for none",
        ),
        ("out/pixels.csv", "/proc/x.csv", "12: exports[2].path: /proc/x.csv: /proc is of the operating system"),
        ("out/pixels.csv", "/sys/a/x.csv", "12: exports[2].path: /sys/a/x.csv: /sys is of the operating system"),
        ("out/pixels.csv", "/dev/x.csv", "12: exports[2].path: /dev/x.csv: /dev is of the operating system"),
        ("exports:\n", "guard: 1\nexports:\n", "9: guard: 1 is a number, where true, false or {offsets"),
        (
            "exports:\n",
            "guard: {shift: false}\nexports:\n",
            "9: guard.shift: unknown key 'shift'; did you mean 'shifts'?",
        ),
        ("exports:\n", "compact: [1]\nexports:\n", "9: compact: it is a list, where a mapping (key: value) is due"),
        ("exports:\n", "markers: {parameters: [1]}\nexports:\n", "9: markers.parameters: it is a list, where groups"),
        (
            "exports:\n",
            "markers: {scenarois: [x]}\nexports:\n",
            "9: markers.scenarois: unknown key 'scenarois'; did you mean 'scenarios'?",
        ),
        (
            "exports:\n",
            "markers: {scenarios: [cover stay]}\nexports:\n",
            "9: markers.scenarios[0]: there is no scenario 'cover stay'",
        ),
        (
            "exports:\n",
            "markers: {parameters: {mowing: {drp: 1}}}\nexports:\n",
            "9: markers.parameters.mowing.drp: unknown key 'drp'; did you mean 'drop'?",
        ),
        (
            f"exports:\n  - {LIGHTS}",
            f"exports:\n  - what: lights\n    paht: x.csv\n  - {LIGHTS}",
            "11: exports[0].paht: unknown key 'paht'; did you mean 'path'?",
        ),
        ("areas:\n  - {aoi", "areas:\n    {aoi", "3: areas: it is a mapping, where a list is due"),
        ("extract:\n  s2:", "extract:\n  - s2:", "7: extract: it is a list, where a mapping (key: value) is due"),
        # the text itself
        ("exports:\n", "\tworkers: 1\nexports:\n", "9: cannot be read: there is a tab; indent by blanks"),
        (
            "exports:\n",
            "workers: 1\nworkers: 2\nexports:\n",
            "10: cannot be read: a value stands there twice (workers)",
        ),
        ("season: {", "season: {{", "3: cannot be read: while parsing a flow mapping: "),
    ],
)
def test_what_is_wrong_is_said_by_its_line_and_key_before_anything_is_done(folder, before, after, line):
    assert FILE.count(before) == 1, before
    lines = wrong(folder, FILE.replace(before, after))
    assert any(one.startswith(line) for one in lines), lines
    assert len(lines) == 1 or "areas:\n    {" in after, lines


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_is_said_to_be_so(folder, text):
    assert wrong(folder, text) == [
        " is empty; write season:, areas:, extract: and, for new scenes, sources: as docs/season.md shows"
    ]


def test_all_that_is_wrong_is_said_at_once(folder):
    text = FILE.replace("season: {start", "saeson: {start").replace("year: 2024, parcels", "year: x, parcels")
    text = text.replace("bands: [B04, B08]", "bands: [B99], rule: center, inner_buffer: 500")
    text = text.replace("lights, path: out/lights.csv", "lightz, path: out/lights.doc")
    text = text.replace("latest_ndvi, path: out/ndvi.parquet", "latest_nvdi, path: out/ndvi.parquet")
    starts = [
        *("2: saeson: unknown key 'saeson'; did you mean 'season'?", "4: areas[0].year: 'x' is a text"),
        *("8: extract.s2.bands: ", "8: extract.s2.rule: ", "8: extract.s2.inner_buffer: "),
        *("10: exports[0].path: cannot export", "11: exports[1].what: there is no view or query"),
    ]
    lines = wrong(folder, text)
    assert all(any(line.startswith(start) for line in lines) for start in starts), lines
    assert len(lines) == len(starts)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_cannot_be_written_is_said_of_a_true_folder(folder):
    (folder / "closed").mkdir(mode=0o500, exist_ok=True)
    (line,) = wrong(folder, FILE.replace("out/pixels.csv", "closed/new/pixels.csv"))
    assert "cannot be written" in line


def test_a_folder_that_not_even_root_can_write_is_said(folder, monkeypatch):
    def refused(*, dir):  # noqa: A002 - as of tempfile
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(targets.tempfile, "TemporaryFile", refused)
    assert all("cannot be written; name another" in line for line in wrong(folder, FILE))


def test_trying_to_write_leaves_nothing_behind(folder):
    before = sorted((folder / "out").iterdir())
    (folder / "season.yaml").write_text(FILE)
    season.read(folder / "season.yaml")
    assert sorted((folder / "out").iterdir()) == before


def test_a_season_without_sources_works_with_what_is_catalogued(folder):
    (folder / "season.yaml").write_text(FILE.replace("sources:\n  - {items: items, card: s2}\n", ""))
    assert season.read(folder / "season.yaml", Lake(str(folder / "lake"))).sources == ()


def test_a_folder_that_cannot_be_written_is_said(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: not str(path).endswith("out"))
    lines = wrong(folder, FILE.replace("out/pixels.csv", "out/deeper/pixels.csv"))
    assert [line.partition(": the folder")[0] for line in lines] == [
        *("10: exports[0].path: out/lights.csv", "11: exports[1].path: out/ndvi.parquet"),
        *("12: exports[2].path: out/deeper/pixels.csv", "13: exports[3].path: out/parcels.gpkg"),
    ]


def test_a_file_that_is_another_name_of_an_input_is_refused(folder):
    os.link(folder / "ms.gpkg", folder / "out" / "hard.gpkg")
    (line,) = wrong(folder, FILE.replace("out/parcels.gpkg", "out/hard.gpkg"))
    (folder / "out" / "hard.gpkg").unlink()
    assert line.startswith("13: exports[3].path: out/hard.gpkg: is the file of areas[0].parcels.path")


def test_nothing_of_a_statement_is_run_when_it_is_tried(folder):
    endless = "select count(*) as n, $what_if as w from range(1000000000000) a, range(1000000000000) b"
    (folder / "season.yaml").write_text(
        FILE.replace('"select pid, NDVI_mean, B04_p10 from s2"', f'"{endless}", params: {{what_if: 1}}')
    )
    season.read(folder / "season.yaml", Lake(str(folder / "lake")))


def test_a_wrong_file_begins_no_run(folder):
    lake = Lake(str(folder / "lake"))
    (folder / "season.yaml").write_text(FILE.replace("what: lights", "what: lightz"))
    with pytest.raises(InvalidInputError, match="lightz"):
        season.run(folder / "season.yaml", lake=lake)
    assert lake.sql("from runs").num_rows == 0
