"""A band or mask whose file is replaced makes what was extracted from it stale; advice of `check` names the rule."""

import re
import shlex
from pathlib import Path

import deltalake
import numpy as np
import pytest
from test_clear import BANDS, SEASON, asset, catalogue, generated, read, rows, scene_id, season, with_probability, write
from typer.testing import CliRunner

from cbm_lake import card2db, extract, parcels
from cbm_lake.cards.maskrule import MaskRule
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError
from cbm_lake.extract.masks import Mask, MaskRaster, Values
from cbm_lake.lake import Lake
from cbm_lake.lake.check import check

pytestmark = pytest.mark.thorough


__all__ = ["generated", "season"]
COMMAND = re.compile(r"`(cbm-lake [^`]*)`")


def means(lake, season, scene=0):
    return {pid: (row["B04_count"], row["B04_mean"]) for pid, row in rows(lake, scene_id(season, scene)).items()}


def replace_mask(season, value=0):
    """Write another mask in the place of the first scene's."""
    path = next((season / "masks").glob("*_prob.tif"))
    values, transform, epsg = read(path)
    write(path, np.full_like(values, value), transform, epsg)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [False, True])
def test_a_mask_that_is_replaced_makes_its_scene_stale(tmp_path, season, folder, caplog):
    with_probability(season)
    lake, fresh = catalogue(tmp_path, season), catalogue(tmp_path / "fresh", season)
    mask = f"{season / 'masks'} > 70" if folder else "cloud > 70"
    options = {**SEASON, "bands": BANDS, "mask": mask, "workers": 0}
    assert extract.s2(**options, lake=lake).scenes == 1
    assert extract.s2(**options, lake=lake).scenes == 0
    before = means(lake, season)
    replace_mask(season)
    assert [
        job.scene.id
        for job in extract.plan("s2", **{k: v for k, v in options.items() if k != "workers"}, dry=True, lake=lake).jobs
    ] == [scene_id(season)]
    assert extract.s2(**options, lake=lake).scenes == 1
    assert f"was replaced, so they are extracted again: {scene_id(season)}" in caplog.text
    extract.s2(**options, lake=fresh)
    assert means(lake, season) == means(fresh, season) != before
    assert extract.s2(**options, lake=lake).scenes == 0
    assert extract.s2(**{**options, "mask": None}, lake=lake).scenes == 1


@pytest.mark.parametrize("band", ["B08", "SCL"])
def test_a_band_that_is_replaced_makes_its_scene_stale(tmp_path, season, band, caplog):
    lake, fresh = catalogue(tmp_path, season), catalogue(tmp_path / "fresh", season)
    options = {**SEASON, "bands": BANDS, "workers": 0}
    assert extract.s2(**options, lake=lake).scenes == 2
    assert extract.s2(**options, lake=lake).scenes == 0
    values, transform, epsg = read(asset(season, band))
    write(asset(season, band), np.where(values == 4, 9, values) if band == "SCL" else values // 2, transform, epsg)
    assert extract.s2(**options, lake=lake).scenes == 1
    assert f"files of these scenes were replaced, so they are extracted again: {scene_id(season)}" in caplog.text
    extract.s2(**options, lake=fresh)
    columns = "* exclude (extraction)"
    order = "order by scene, pid, mask"
    both = [one.sql(f"select {columns} from s2_rows {order}").to_pylist() for one in (lake, fresh)]  # noqa: S608
    assert both[0] == both[1]
    assert extract.s2(**options, lake=lake).scenes == 0


def test_a_scene_whose_files_have_gone_or_of_which_another_band_is_replaced_stays(tmp_path, season):
    lake = catalogue(tmp_path, season)
    options = {**SEASON, "bands": ("B04",), "workers": 0, "lake": lake}
    assert extract.s2(**options).scenes == 2
    values, transform, epsg = read(asset(season, "B08"))
    write(asset(season, "B08"), values // 2, transform, epsg)
    asset(season, "B04", 1).unlink()
    assert extract.s2(**options).scenes == 0


def test_a_mask_that_has_gone_leaves_what_was_extracted_with_it(tmp_path, season, caplog):
    with_probability(season)
    lake = catalogue(tmp_path, season)
    options = {**SEASON, "bands": BANDS, "mask": "cloud > 70", "workers": 0, "lake": lake}
    extract.s2(**options)
    before = means(lake, season)
    next((season / "masks").iterdir()).unlink()
    assert extract.s2(**options).scenes == 0
    assert "cannot be looked at; what was extracted with it stays" in caplog.text
    assert means(lake, season) == before


def test_lakes_without_stamps_of_masks_open_and_none_of_their_scenes_is_stale(tmp_path, season):
    with_probability(season)
    lake = catalogue(tmp_path, season)
    options = {**SEASON, "bands": BANDS, "mask": "cloud > 70", "workers": 0}
    extract.s2(**options, lake=lake)
    url = f"{lake.url}/extractions"
    ledger = deltalake.DeltaTable(url).to_pyarrow_table()
    assert ledger["mask_stamp"].to_pylist() != [None]
    deltalake.write_deltalake(url, ledger.drop_columns(["mask_stamp"]), mode="overwrite", schema_mode="overwrite")
    replace_mask(season)
    older = Lake(lake.url)
    assert extract.s2(**options, lake=older).scenes == 0
    assert extract.s2(**options, again=True, lake=older).scenes == 1
    assert older.sql("select mask_stamp from written")["mask_stamp"].to_pylist() != [None]


RULES = [
    {"mask": "cloud > 70", "dilate": 1, "indices": ("ndvi",), "statistics": ("p10",), "inner_buffer": 2.5},
    {"clear": False},
    {"rule": "coverage", "cube": False},
]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=["mask", "no clear", "coverage"])
def test_the_command_that_check_prints_mends_with_the_same_rule(tmp_path, season, rule, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path / "home"))
    with_probability(season)
    lake = Lake(str(tmp_path / "home" / "data" / "lake"))
    card2db.items(str(season / "s2.json"), card="s2", lake=lake)
    parcels.load(str(season / "parcels.gpkg"), "demo", 2024, pid="parcel_id", lake=lake)
    extract.s2(**SEASON, bands=BANDS, **rule, workers=0, lake=lake)
    columns = "* exclude (extraction)"
    before = lake.sql(f"select {columns} from s2_rows order by pid, mask").to_pylist()  # noqa: S608
    for file in Path(lake.url).glob("signatures/s2/**/*.parquet"):
        file.unlink()
    advice = [row["advice"] for row in check(Lake(lake.url)).to_pylist()]
    for url in {url for text in advice for url in re.findall(r"DeltaTable\('([^']*)'\)\.repair\(\)", text)}:
        deltalake.DeltaTable(url).repair()
    (command,) = {command for text in advice for command in COMMAND.findall(text) if "--again" in command}
    done = CliRunner().invoke(app, [*shlex.split(command)[1:], "--workers", "0"])
    assert done.exit_code == 0, (command, done.output)
    after = Lake(lake.url).sql(f"select {columns} from s2_rows order by pid, mask").to_pylist()  # noqa: S608
    assert after == before
    assert extract.s2(**SEASON, bands=BANDS, **rule, workers=0, lake=Lake(lake.url)).scenes == 0


def test_no_command_extracts_what_lies_between_by_another_rule(tmp_path, season):
    from cbm_lake.lake.check.remedies import Remedies

    same = {"card": "s2", "aoi": "demo", "year": 2024, "ptype": "", "bands": ["B04"], "rule": "centre", "cube": True}
    same |= {"slots": None, "statistics": None, "indices": None, "mask": "SCL 3,8"}
    days = [("a", "2024-03-01"), ("b", "2024-03-06"), ("c", "2024-03-11"), ("d", "2024-03-16")]
    done = [{**same, "scene": name, "day": day} for name, day in days]
    done[1]["mask"] = "SCL 3,8 dilated 2"
    text = Remedies(done).of_cube("s2", "any")
    assert [re.findall(r"\d{4}-\d\d-\d\d", command) for command in COMMAND.findall(text)] == [
        ["2024-03-01", "2024-03-01"],
        ["2024-03-06", "2024-03-06"],
        ["2024-03-11", "2024-03-16"],
    ]
    assert "--dilate 2" in COMMAND.findall(text)[1]


@pytest.mark.parametrize("other", [None, "cloud > 40", "/a b/masks = 1,3 and more != 0", "MSK_CLDPRB_20m >= 40"])
@pytest.mark.parametrize("dilate", [0, 1, 12])
def test_the_text_of_a_mask_is_read_back_as_the_same(other, dilate):
    rule = MaskRule("SCL", (3, 8, 11), dilate, other)
    assert MaskRule.parse(str(rule)) == rule


@pytest.mark.parametrize("number", [40, 0.1, 1234567, 1 / 3, -0.25, 1e-9, 16777217])
def test_the_numbers_of_a_mask_are_written_exactly(number):
    text = str(MaskRaster("cloud", Values(">", (number,))))
    assert MaskRaster.of(text).values.numbers == (number,)


@pytest.mark.parametrize("text", ["", "SCL", "SCL 3,x", "cloud > 40"])
def test_what_is_no_mask_is_refused(text):
    with pytest.raises(InvalidInputError, match="is no mask of clear pixels"):
        MaskRule.parse(text)


def test_the_mask_of_a_job_states_its_rule():
    mask = Mask("SCL", (3, 8), 2, MaskRaster.of("cloud > 40.5"))
    assert str(mask) == "SCL 3,8 dilated 2 and cloud > 40.5"
