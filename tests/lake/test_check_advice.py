"""What `check` advises, followed word by word, mends: the lake is whole again, and its numbers are the former ones."""

import re
import shlex
import shutil
from pathlib import Path

import damage
import deltalake
import pytest
from typer.testing import CliRunner

from cbm_lake import card2db, parcels
from cbm_lake.cli import app
from cbm_lake.lake import Lake
from cbm_lake.lake.check import check

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Object at .* is not recognized:UserWarning"),  # of a cube that lost a file
]

COMMAND = re.compile(r"`(cbm-lake [^`]*)`")
LAST = (
    f"cbm-lake extract s2 --start 2024-01-01 --end 2024-12-31 --aoi demo --year 2024 --bands {','.join(damage.BANDS)}"
)
"""The last command on the lake that is damaged."""


@pytest.fixture
def lake(undamaged, tmp_path, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    return damage.copy(undamaged, tmp_path / "data" / "lake")


def run(command):
    done = CliRunner().invoke(app, shlex.split(command)[1:] + (["--workers", "0"] if " extract " in command else []))
    assert done.exit_code == 0, (command, done.output, done.exception)


def delete(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def follow(lake, undamaged, finding, last):
    """Do what the advice of a finding says; of alternatives the one without a copy."""
    advice, path = finding["advice"], Path(lake.url) / finding["file"]
    advice = re.split(r"^restore it from a copy[^;,]*(?:; or|, or|; without one,?)\s*", advice)[-1]
    sample = Path(undamaged.url).parent / "sample"
    steps = {
        r"^restore it": lambda: shutil.copy2(Path(undamaged.url) / finding["file"], path),
        r"^delete (it|them)": lambda: delete(path),
        r"\d{20}\.checkpoint\.parquet and": lambda: delete(
            path.with_name(re.search(r"(\d{20}\.checkpoint\.parquet) and", advice)[1])
        ),
        "_last_checkpoint beside it": lambda: delete(path.with_name("_last_checkpoint")),
        "^delete _last_entry beside it": lambda: delete(path.with_name("_last_entry")),
        r"\.repair\(\)": lambda: deltalake.DeltaTable(re.search(r"DeltaTable\('([^']*)'\)", advice)[1]).repair(),
        "load these (very )?parcels again": lambda: parcels.load(
            str(sample / "parcels.gpkg"), "demo", 2024, pid="parcel_id", lake=Lake(lake.url)
        ),
        "catalogue these scenes again": lambda: card2db.items(str(sample / "s2.json"), lake=Lake(lake.url)),
        "run the last command|extract again": lambda: run(last),
    }
    for pattern, step in steps.items():
        if re.search(pattern, advice):
            step()
    for command in COMMAND.findall(advice):
        run(command)


def mended(lake, undamaged, last=LAST):
    """Follow advice until there is none; the findings met on the way."""
    met = []
    for _ in range(6):
        found = check(Lake(lake.url), deep=True).to_pylist()
        faults = [row for row in found if row["severity"] == "fault"]
        if not faults:
            return met
        met += faults
        follow(lake, undamaged, min(faults, key=lambda row: row["advice"].startswith("when ")), last)
    return pytest.fail(f"still wrong: {faults}")


def chosen(lake):
    """One file of every kind, the newest of its kind."""
    return {damage.kind(name): name for name in damage.files(lake)}


def kinds():
    return (
        "cubes B04/zarr.json",
        "cubes block",
        "cubes scene/c/0",
        "cubes scene/zarr.json",
        "cubes spatial_ref/zarr.json",
        "cubes time/c/0",
        "cubes x/c/0",
        "cubes x/zarr.json",
        "cubes zarr.json",
        "extractions log _last_checkpoint",
        "extractions log checkpoint",
        "extractions log json",
        "extractions parquet",
        "indexes parquet",
        "parcels parquet",
        "rasters parquet",
        "scenes parquet",
        "signatures log json",
        "signatures parquet",
        "slots log json",
        "slots parquet",
        "files log json",
        "files parquet",
    )


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("act", [damage.deleted, damage.cut])
def test_advice_followed_literally_mends(lake, undamaged, kind, act):
    right = damage.answers(undamaged)
    act(Path(lake.url) / chosen(lake)[kind])
    mended(lake, undamaged)
    found = damage.answers(lake)
    assert {name: found[name] == right[name] for name in right if name != "parcels"} == {
        name: True for name in right if name != "parcels"
    }


@pytest.mark.parametrize("table", ["extractions", "signatures/s2"])
@pytest.mark.parametrize("act", [damage.deleted, damage.cut])
def test_the_newest_entry_goes_together_with_the_sum_that_speaks_of_it(lake, undamaged, table, act):
    run("cbm-lake compact")
    newest = max((Path(lake.url) / table / "_delta_log").glob("*.json"))
    assert newest.with_suffix(".checkpoint.parquet").exists()
    act(newest)
    mended(lake, undamaged, last="cbm-lake compact")
    assert damage.answers(lake) == damage.answers(undamaged)


def test_what_is_restored_from_a_copy_is_whole(lake, undamaged):
    """All that is wrong at once, and the copy put back."""
    for name in chosen(lake).values():
        damage.garbage(Path(lake.url) / name)
    for row in check(Lake(lake.url), deep=True).to_pylist():
        source = Path(undamaged.url) / row["file"]
        if source.is_file():
            shutil.copy2(source, Path(lake.url) / row["file"])
    assert check(Lake(lake.url), deep=True).num_rows == 0
    assert damage.answers(lake) == damage.answers(undamaged)
