"""season.yaml: what is wrong in it is said in one line, by the place in the file, and nothing is done."""

import inspect
from datetime import date

import pytest
from small_season import write_file

from cbm_lake import extract, parcels, season
from cbm_lake.errors import InvalidInputError
from cbm_lake.season.file import Extraction, Parcels


def test_a_file_says_all_and_relative_paths_are_in_its_folder(tmp_path):
    found = season.read(write_file(tmp_path))
    assert [area.name for area in found.areas] == ["ms 2024", "be 2024", "be 2023"]
    assert found.period(found.areas[2]).start == date(2023, 3, 1)
    assert found.span("be") == (date(2023, 3, 1), date(2024, 10, 31))
    assert found.path("a/b.csv") == str(tmp_path / "a" / "b.csv")
    assert found.path("s3://bucket/b.csv") == "s3://bucket/b.csv"
    assert found.extract["s2"].model_dump()["bands"] == ("B04", "B08")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("bands:", "band:", "extract.s2.band: unknown key 'band'; did you mean 'bands'?"),
        ("areas:", "area:", "area: unknown key 'area'; did you mean 'areas'?"),
        ("items: items", "items: items, crd: s2", "sources[0].crd: unknown key 'crd'; did you mean 'card'?"),
        (
            "{items: items",
            "{item: items",
            "sources[0]: a source has one of the keys stac, items, geoparquet, products, files",
        ),
        ("{items: items", "{items: items, products: p", "a source has one of the keys"),
        ("path: ms.gpkg", "pth: ms.gpkg", "areas[0].parcels.pth: unknown key 'pth'; did you mean 'path'?"),
        ("aoi: ms", "aoi: 7 s", "aoi '7 s' cannot name an area"),
        ("aoi: ms, year: 2024", "aoi: be, year: 2024", "area be 2024 stands there twice"),
        ("year: 2023", "year: 2022", "has no day of 2022, the year of area be 2022"),
        ("end: 2024-10-31", "end: 2023-10-31", "season: the dates are reversed"),
        ("end: 2024-10-31", "end: 2042-10-31", "more than two years"),
        ("end: 2024-10-31", "end: 2024-13-31", "season.end: '2024-13-31' is no day"),
        ("season: {start: 2024-03-01, end: 2024-10-31}\n", "", "area ms 2024 has no season"),
        ("[B04, B08]", "[B04, B99]", "card s2 has no band B99"),
        ("bands: [B04, B08]", "statistics: [p11]", "p11"),
        ("bands: [B04, B08]", "rule: center", "extract.s2.rule: unknown rule 'center'; did you mean 'centre'?"),
        ("  bs: {cube", "  b5: {cube", "extract.b5: there is no card 'b5'; there are: s2, bs, c6, ls"),
        ("  bs: {cube: false}\n", "", "source radar is of card bs, which is not extracted"),
        ("out/markers.csv", "out/markers.doc", "cannot export to 'out/markers.doc'"),
        (
            "out/markers.csv",
            "s3://bucket/markers.csv",
            "exports are files of this machine, not s3://bucket/markers.csv",
        ),
        (
            "out/markers.csv",
            "a.csv, params: {pseudonymous: 1}",
            "exports[0].params: no parameter of a statement can have the name pseudony",
        ),
        ("compact:", "crops: {alpha: 70%}\ncompact:", "crops.alpha: the promised error (alpha) is a share"),
        ("compact:", "crops: {alhpa: 5%}\ncompact:", "crops.alhpa: unknown key 'alhpa'; did you mean 'alpha'?"),
        ("compact:", "crops: often\ncompact:", "crops: 'often' is a text, where true, false or {alpha: 5%, …} is due"),
        ("compact:", "crops: {by: crop}\ncompact:", "crops.by"),
        (
            "compact:",
            "crops: {settings: {fold: 3}}\ncompact:",
            "crops.settings: there is no setting 'fold' of",
        ),
        ("compact:", "crops: {settings: {alpha: 0.1}}\ncompact:", "crops.settings: alpha is no further setting"),
        ("compact:", "crops: {groups: none.yaml}\ncompact:", "crops.groups: "),
        ("compact: {files: 20}", "compact: {files: 0}", "compact.files: 0 is not right: at least 2 is due"),
        ("workers: 0", "workers: -1", "workers: -1 is not right: at least 0 is due"),
        ("workers: 0", "workers: 0\nworkers: 1", "twice"),
        ("workers: 0", "file: x", "file: unknown key 'file'"),
        (
            "workers: 0",
            "markers: {scenarios: [nothing]}",
            "markers.scenarios[0]: there is no scenario 'nothing'; there are: grassland",
        ),
        (
            "workers: 0",
            "markers: {parameters: {mowng: {drop: 1} } }",
            "markers.parameters.mowng: unknown key 'mowng'; did you mean 'mowing'?",
        ),
        ("workers: 0", "markers: {parameters: nowhere.yaml}", "parameters cannot be read"),
        ("{items: items", "{stac: nowhere", "'nowhere' is no STAC API"),
        ("{items: items", "{stac: earth-search, start: 2025-01-01", "2025-01-01 is outside the season, 2023-03-01 to"),
        ("{items: items", "{stac: earth-search, aoi: xx", "there is no area xx; there are: be, ms"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, before, after, words):
    file = write_file(tmp_path)
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    with pytest.raises(InvalidInputError) as caught:
        season.read(file)
    lines = str(caught.value).splitlines()
    assert sum(words in line for line in lines) == 1
    assert all(line.startswith(f"{file}:") for line in lines)
    assert len(lines) == ("has no season" in words) + 1  # two areas have none


@pytest.mark.parametrize("text", ["", "[1, 2]", "a", "a: [", "%"])
def test_what_is_no_season_is_refused(tmp_path, text):
    (tmp_path / "season.yaml").write_text(text)
    with pytest.raises(InvalidInputError, match=r"season\.yaml"):
        season.read(tmp_path / "season.yaml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        season.read(tmp_path / "season.yaml")


def test_the_options_of_the_file_are_those_of_the_verbs():
    options = Extraction.model_fields
    assert {"bands", "rule", "statistics", "cube"} <= options.keys()
    assert not {"lake", "aoi", "start", "again", "dry"} & options.keys()
    defaults = {name: parameter.default for name, parameter in inspect.signature(extract.plan).parameters.items()}
    assert {name: defaults[name] for name in options} == Extraction().model_dump()
    assert set(Parcels.model_fields) <= inspect.signature(parcels.load).parameters.keys()
