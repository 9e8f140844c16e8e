"""Scenes that fail: told once, grouped by cause; only what is new raises, and what is left out is tried no more."""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from typer.testing import CliRunner

import cbm_lake as cbm
from cbm_lake import card2db, cli, extract, parcels, rasters
from cbm_lake.demo import sample
from cbm_lake.errors import SourceError
from cbm_lake.extract.causes import as_before, cause, listed
from cbm_lake.extract.jobs import Outcome
from cbm_lake.rasters import Raster

YEAR = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024, "bands": ("B04", "B08"), "workers": 0}
OPTIONS = [
    f"--{name}={value}" for name, value in (*list(YEAR.items())[:4], ("bands", "B04,B08"), ("workers", 0), ("no", 0))
][:-1]


@pytest.fixture
def made(tmp_path):
    return sample.write(tmp_path / "sample", dates=3, size=160)


@pytest.fixture
def filled(lake, made):
    card2db.items(str(made.items["s2"]), lake=lake)
    parcels.load(str(made.parcels), "demo", 2024, pid="parcel_id", lake=lake)
    return lake


def files(made, band="B04"):
    """The file of a band of each scene, in the order of time."""
    features = json.loads(made.items["s2"].read_text())["features"]
    found = {item["id"]: item["assets"] for item in sorted(features, key=lambda item: item["properties"]["datetime"])}
    keys = {"B04": ("B04", "red"), "B08": ("B08", "nir")}[band]
    return {name: next(assets[key]["href"] for key in keys if key in assets) for name, assets in found.items()}


def gone(made, *places, band="B04"):
    """Take the band's file of some scenes away; their identifiers and files."""
    found = [list(files(made, band).items())[place] for place in places]
    for _, href in found:
        Path(href).rename(f"{href}.away")
    return found


def back(*found):
    for _, href in found:
        Path(f"{href}.away").rename(href)


def test_what_failed_before_of_the_same_cause_is_one_warning_and_no_error(filled, made, caplog):
    ((name, _),) = gone(made, 0)
    with pytest.raises(SourceError, match=f"1 of 3 scenes failed, 2 are done; run again to retry. {name}: raster"):
        extract.s2(**YEAR)
    caplog.clear()
    done = extract.s2(**YEAR)
    assert (done.scenes, done.skipped) == (0, 2)
    assert [outcome.scene for outcome in done.still_failing] == [name]
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage().startswith(
        f"1 scene still fails as before, of the same cause: {name}; `cbm-lake status`"
    )


@pytest.mark.slow
def test_what_fails_for_another_reason_than_before_is_an_error_again(filled, made):
    ((name, href),) = gone(made, 0)
    with pytest.raises(SourceError):
        extract.s2(**YEAR)
    Path(href).write_bytes(b"no raster at all")
    with pytest.raises(SourceError, match=f"1 of 1 scenes failed.*{name}.*not recognized"):
        extract.s2(**YEAR)
    assert len(extract.s2(**YEAR).still_failing) == 1


@pytest.mark.slow
def test_a_new_failure_beside_an_old_one_is_told_and_the_old_one_only_named(filled, made):
    ((old, _),) = gone(made, 0)
    with pytest.raises(SourceError):
        extract.s2(**YEAR)
    ((new, _),) = gone(made, 1)
    with pytest.raises(SourceError) as caught:
        extract.s2(**YEAR, again=True)
    text = str(caught.value)
    assert text.startswith(f"1 of 3 scenes failed, 1 are done; run again to retry. {new}: raster")
    assert f". 1 scene still fails as before, of the same cause: {old};" in text
    assert text.count("cannot be opened") == 1


@pytest.mark.slow
def test_a_scene_that_was_done_since_and_fails_again_is_new(filled, made):
    broken = gone(made, 0)
    with pytest.raises(SourceError):
        extract.s2(**YEAR)
    back(*broken)
    assert extract.s2(**YEAR).scenes == 1
    gone(made, 0)
    with pytest.raises(SourceError, match="1 of 3 scenes failed"):
        extract.s2(**YEAR, again=True, cube=False)


@pytest.mark.slow
def test_a_failure_that_was_tried_twice_in_one_run_is_still_new(filled, made, monkeypatch):
    """Remote scenes that cannot be read are tried twice, which are two attempts of one run."""
    monkeypatch.setattr("cbm_lake.extract.running._is_remote", lambda job: True)
    extract.s2(**YEAR)
    for href in files(made).values():
        with Path(href).open("r+b") as file:
            file.truncate(1000)
    with pytest.raises(SourceError, match="3 of 3 scenes failed"):
        extract.s2(**YEAR, again=True, cube=False)
    assert len(extract.s2(**YEAR, again=True, cube=False).still_failing) == 3


def test_many_scenes_of_one_cause_are_one_sentence(filled, made):
    names = [name for name, _ in gone(made, 0, 1, 2)]
    with pytest.raises(SourceError) as caught:
        extract.s2(**YEAR)
    text = str(caught.value)
    assert text.startswith(
        f"3 of 3 scenes failed, 0 are done; run again to retry. 3 scenes ({', '.join(names)}), of the"
    )
    assert text.count("cannot be opened") == 1


@pytest.mark.thorough
def test_the_command_fails_once_then_not_until_something_new_fails_and_never_when_left_out(filled, made):
    ((name, _),) = gone(made, 0)

    def night():
        return CliRunner().invoke(cli.app, ["extract", "s2", *OPTIONS])

    first = night()
    assert isinstance(first.exception, SourceError)
    assert night().exit_code == 0
    cbm.scenes.leave_out(name, "the file is lost")
    done = night()
    assert (done.exit_code, "0 scenes to extract" in done.output, "2 done before" in done.output) == (0, True, True)
    assert filled.query("scenes.failed").num_rows == 0
    cbm.scenes.put_back(name, "perhaps")
    assert filled.query("scenes.failed")["scene"].to_pylist() == [name]


PROBLEMS = [
    (
        "raster https://a.org/x/B04.tif cannot be opened: HTTP 404",
        "raster https://a.org/y/B11.tif cannot be opened: HTTP 404",
    ),
    ("raster /a/S1/B04.tif cannot be read: tile 1234 is cut", "raster /b/S1/B05.tif cannot be read: tile 77 is cut"),
    ("no answer at 2024-05-01T10:00:00Z after 30002 ms", "no answer at 2024-05-02T11:00:00Z after 30009 ms"),
    ("denied (request 4442587FB7D0A2F9)", "denied (request 0000587FB7D0A2F9)"),
    ("<object at 0x7f001122>", "<object at 0x7fff0000>"),
]


@pytest.mark.parametrize(("one", "other"), PROBLEMS)
def test_what_differs_at_every_attempt_does_not_make_another_cause(one, other):
    assert cause(Outcome("S1", 0, one)) == cause(Outcome("S1", 0, other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "raster https://a.org/B04.tif cannot be opened: HTTP 404",
            "raster https://a.org/B04.tif cannot be opened: HTTP 503",
        ),
        ("raster https://a.org/B04.tif cannot be opened", "raster https://b.org/B04.tif cannot be opened"),
        ("scene S1 has no asset B04; ask for other bands", "scene S1 has no asset B05; ask for other bands"),
        ("raster /a/B04.tif cannot be opened: no such file", "raster /a/B04.tif cannot be opened: no rights"),
    ],
)
def test_other_reasons_are_other_causes(one, other):
    assert cause(Outcome("S1", 0, one)) != cause(Outcome("S1", 0, other))


def test_the_most_frequent_cause_comes_first_and_long_lists_are_cut():
    failed = [Outcome("X", 0, "alone"), *(Outcome(f"S{n}", 0, f"raster /d/S{n}/B04.tif is cut") for n in range(5))]
    assert listed(failed) == ("5 scenes (S0, S1, S2 and 2 more), of the first: raster /d/S0/B04.tif is cut; X: alone")
    assert as_before(()) == ""
    assert as_before(failed).startswith(
        "6 scenes still fail as before, of the same cause: X, S0, S1, S2, S3 and 1 more;"
    )


GOOD = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint16", "crs": "EPSG:32631"}
PLACE = Affine(10, 0, 500_000, 0, -10, 4_800_000)
NAN, INF = float("nan"), float("inf")


def written(path, values=None, **changes):
    """A GeoTIFF whose header is changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", **{**GOOD, "transform": PLACE, **changes}) as file:
            kind = "complex64" if "complex" in file.dtypes[0] else file.dtypes[0]
            file.write(np.ones((file.count, 64, 64), kind))
    return str(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(({"dtype": kind}, "complex numbers") for kind in ("complex64", "complex128", "complex_int16")),
        ({"crs": None}, "no known coordinate system"),
        ({"crs": "+proj=laea +lat_0=10 +lon_0=3 +datum=WGS84"}, "no known coordinate system"),
        ({"crs": "EPSG:4978"}, "no known coordinate system"),  # geocentric
        ({"transform": Affine(10, 1, 5e5, 1, -10, 4.8e6)}, "not north-up"),
        ({"transform": Affine(-10, 0, 5e5, 0, -10, 4.8e6)}, "not north-up"),
        ({"transform": Affine(0, 0, 5e5, 0, 0, 4.8e6)}, "not north-up"),
        ({"transform": Affine(NAN, 0, 5e5, 0, -10, 4.8e6)}, "not north-up"),
        ({"transform": Affine(10, 0, NAN, 0, -10, 4.8e6)}, "no place on earth"),
        ({"transform": Affine(10, 0, INF, 0, -10, 4.8e6)}, "no place on earth"),
        ({"transform": Affine(10, 0, 1e30, 0, -10, 4.8e6)}, "no place on earth"),
        ({"transform": Affine(1e300, 0, 5e5, 0, -1e300, 4.8e6)}, "no place on earth"),
        ({"transform": Affine(1e-300, 0, 5e5, 0, -1e-300, 4.8e6)}, "no place on earth"),
        ({"count": 2}, "has 2 bands where one is expected"),
    ],
)
def test_a_header_that_says_nonsense_is_refused_by_name_in_one_line(tmp_path, change, words):
    path = written(tmp_path / "B04.tif", **change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with pytest.raises(SourceError, match=f"{path} .*{words}") as caught:
            Raster.inspect(path)
    assert "\n" not in str(caught.value)
    assert "leave out this scene" in str(caught.value)


@pytest.mark.parametrize("error", [OverflowError("x"), ValueError("x"), KeyError("x"), TypeError("x"), IndexError("x")])
def test_whatever_else_a_header_raises_is_an_error_of_that_raster(tmp_path, monkeypatch, error):
    path = written(tmp_path / "B04.tif")
    monkeypatch.setattr(rasters, "_own_nodata", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(SourceError, match=f"the header of raster {path} is of no use: "):
        Raster.inspect(path)


def test_good_headers_are_read(tmp_path):
    for number, crs in enumerate(("EPSG:32631", "EPSG:3035", "EPSG:2154", "EPSG:27700")):
        assert Raster.inspect(written(tmp_path / f"{number}.tif", crs=crs)).grid.transform == PLACE
    degrees = Affine(1e-4, 0, 3, 0, -1e-4, 43)
    assert Raster.inspect(written(tmp_path / "d.tif", crs="EPSG:4326", transform=degrees)).grid.epsg == 4326


@pytest.mark.slow
def test_an_absurd_size_costs_its_own_scene(filled, made):
    name, href = next(iter(files(made).items()))
    Path(href).write_text(
        '<VRTDataset rasterXSize="2000000000" rasterYSize="2000000000"><SRS>EPSG:32631</SRS>'
        "<GeoTransform>500000,10,0,4800000,0,-10</GeoTransform>"
        '<VRTRasterBand dataType="UInt16" band="1"/></VRTDataset>'
    )
    with pytest.raises(
        SourceError, match=f"1 of 3 scenes failed, 2 are done.*{name}: .*2000000000 x 2000000000 pixels"
    ):
        extract.s2(**YEAR)


@pytest.mark.slow
def test_a_raster_of_complex_numbers_costs_its_own_scene(filled, made):
    name, href = next(iter(files(made).items()))
    written(href, dtype="complex64")
    with pytest.raises(SourceError, match=f"1 of 3 scenes failed, 2 are done.*{name}: .*complex numbers"):
        extract.s2(**YEAR)
