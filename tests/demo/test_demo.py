"""The demonstration runs end to end on a small sample, and what it extracts is what was drawn."""

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cbm_lake import season
from cbm_lake.demo import run
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import open_lake

pytestmark = pytest.mark.thorough


HIDDEN = [3, 8, 9, 10]
CROPS = ("winter wheat", "maize", "grassland", "rapeseed", "sugar beet", "fallow")


def shown(folder, **options):
    """Run the demonstration and return what it showed."""
    console = Console(file=io.StringIO(), width=120)
    run(folder, workers=0, console=console, size=160, dates=8, **options)
    return console.file.getvalue()


def fetched(page):
    """What a browser would fetch for a page: the targets of its tags (scripts stand in it, so theirs are none)."""
    targets = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            targets.extend(value for name, value in attrs if name in ("src", "href", "data", "srcset"))

    Parser().feed(page)
    style = page[page.index("<style>") : page.index("</style>")]
    return targets + re.findall(r"url\(.*?\)|@import.*", style)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder of a run, and what the run showed."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        yield folder, shown(folder)


@pytest.fixture(scope="module")
def lake(demo):
    return open_lake(str(demo[0] / "data" / "lake"))


@pytest.fixture(scope="module")
def compared(demo, lake):
    """Extracted signatures beside the truth, by parcel and date."""
    rows = lake.sql("select pid, obstime, B04_mean, B08_mean, B04_count, scl from s2").to_pandas()
    truth = pd.read_parquet(demo[0] / "sample" / "truth.parquet")
    both = rows.merge(truth, on=["pid", "obstime"], validate="one_to_one")
    both["measured"] = (both["B08_mean"] - both["B04_mean"]) / (both["B08_mean"] + both["B04_mean"])
    counts = np.vstack(both["scl"])
    both["hidden"] = counts[:, HIDDEN].sum(axis=1) / counts[:, 1:].sum(axis=1).clip(1)
    both["classified"] = counts.sum(axis=1)
    return both


def test_every_scene_is_extracted(lake):
    status = {row["card"]: row for row in lake.query("scenes.status").to_pylist()}
    assert {card: row["scenes"] for card, row in status.items()} == {"s2": 8, "bs": 12, "c6": 12}
    assert all(row["extracted"] == row["scenes"] for row in status.values())


def test_ndvi_of_clear_parcels_follows_the_truth_as_closely_as_their_pixels_allow(compared):
    clear = compared[(compared["clouded"] == 0) & (compared["outside"] == 0)]
    assert len(clear) > 150
    error = (clear["measured"] - clear["ndvi"]).abs()
    assert (error <= 0.05 / np.sqrt(clear["B04_count"])).all()  # a pixel's noise moves its NDVI by about 0.01


def test_scenes_with_and_without_offset_agree_equally_well(compared, lake):
    offsets = lake.sql("select obstime, boa_offset from scenes where card = 's2'").to_pandas()
    clear = compared[(compared["clouded"] == 0) & (compared["outside"] == 0)].merge(offsets, on="obstime")
    bias = (clear["measured"] - clear["ndvi"]).groupby(clear["boa_offset"]).mean()
    assert set(bias.index) == {0, -1000}
    assert bias.abs().max() < 0.001


def test_scene_classes_mark_the_clouded_dates(compared):
    whole = compared[(compared["outside"] == 0) & (compared["classified"] >= 20)]
    assert (whole["clouded"] > 0.9).any()
    # Truth is counted on 10 m pixels, classes on 20 m pixels whose centres are inside: edges differ.
    assert ((whole["hidden"] - whole["clouded"]).abs() <= 3 / np.sqrt(whole["classified"])).all()
    assert (whole.loc[whole["clouded"] == 0, "hidden"] <= 0.1).all()
    assert whole.loc[whole["clouded"] == 1, "hidden"].min() >= 0.9


def test_the_accuracy_on_the_page_is_that_of_an_independent_calculation(compared, demo, lake):
    truth = str(demo[0] / "sample" / "truth.parquet")
    rows = lake.query("demo.accuracy", aoi="demo", year=2024, screen=[*HIDDEN, 11], truth=truth).to_pylist()
    clear = compared[(compared["hidden"] == 0) & (compared["B04_count"] >= 8) & (compared["scl"].str[0] == 0)]
    error = clear["measured"] - clear["ndvi"]
    assert rows[0]["observations"] == "clear"
    assert rows[0]["pairs"] == len(clear)
    assert rows[0]["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-3)
    assert rows[0]["r"] == pytest.approx(np.corrcoef(clear["measured"], clear["ndvi"])[0, 1], abs=1e-6)
    assert f"<td>{rows[0]['rmse']:.4f}</td>" in (demo[0] / "report.html").read_text("utf-8")


def test_the_page_shows_its_parcels_and_crops_and_fetches_nothing(demo, lake):
    page = (demo[0] / "report.html").read_text("utf-8")
    examples = lake.query(
        "demo.examples",
        aoi="demo",
        year=2024,
        truth=str(demo[0] / "sample" / "truth.parquet"),
        events=str(demo[0] / "sample" / "events.parquet"),
    ).to_pylist()
    assert {row["example"] for row in examples} >= {"whole", "split", "wrong_crop"}
    for row in examples:
        assert f"Parcel {row['pid']}, declared as {row['declared']}" in page
    pids = lake.sql("select pid from parcels")["pid"].to_pylist()
    assert all(f'"{pid}"' in page for pid in pids)  # what hovering over the map shows
    assert all(f"</i>{crop}" in page for crop in CROPS)
    assert fetched(page) == ["data:,"]
    assert not re.search(r"\$[a-z]+_[a-z]+", page[page.index("<body>") : page.index("<pre>")])
    assert len(page) < 6_000_000


def test_the_exports_open_elsewhere(demo, lake):
    signatures = pq.read_table(demo[0] / "export" / "signatures_s2.parquet")
    assert signatures.num_rows == lake.sql("from s2").num_rows
    parcels = pq.read_table(demo[0] / "export" / "parcels_ndvi.parquet")
    assert parcels.num_rows == lake.sql("from parcels").num_rows
    assert json.loads(parcels.schema.metadata[b"geo"])["primary_column"] == "geometry"


def test_the_run_says_what_it_did_and_where_it_lies(demo):
    folder, text = demo
    lines = " ".join(text.split())
    assert "8 scenes, 8 new" in lines
    for path in ("report.html", "export/signatures_s2.parquet", "export/parcels_ndvi.parquet", "data/lake"):
        assert str(folder / path) in text
    assert "from observations_s2" in text
    assert "Everything was there already" not in text


def test_a_second_run_adds_nothing_says_so_and_leaves_the_lake_of_the_settings_alone(demo, lake, tmp_path, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", str(tmp_path / "precious"))
    before, page = lake.snapshot(), (demo[0] / "report.html").stat().st_mtime_ns
    text = shown(demo[0])
    assert lake.snapshot() == before
    assert (demo[0] / "report.html").stat().st_mtime_ns == page
    assert "Everything was there already" in text
    assert not (tmp_path / "precious").exists()


def test_a_folder_with_another_sample_is_refused(demo):
    with pytest.raises(InvalidInputError, match="holds another sample"):
        run(demo[0], workers=0, console=Console(file=io.StringIO()), size=160, dates=9)


@pytest.mark.slow
def test_the_sample_has_a_season_file_that_does_the_night_of_the_demonstration(tmp_path):
    home = tmp_path / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(home))
        shown(home)
        lake = open_lake(str(home / "data" / "lake"))
        night, again = (season.run(home / "sample" / "season.yaml", lake=lake) for _ in range(2))
    assert not night.failed
    assert {step.key.step: step.scenes for step in night.steps}["extract"] == 0  # done by the demonstration
    assert pd.read_csv(home / "sample" / "lights.csv")["colour"].notna().all()
    assert not again.failed
    assert not again.changed
