"""Parcels whose season resembles no crop: on made-up seasons, and in a generated landscape with planted changes."""

import fields
import geopandas as gpd
import numpy as np
import planted
import pyarrow as pa
import pytest
from fields import declare
from typer.testing import CliRunner

from cbm_lake import card2db, extract, parcels, years
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, open_lake
from cbm_lake.years import changed, resemblance
from cbm_lake.years.resemblance import Seasons, judge

pytestmark = pytest.mark.thorough


WHEAT = [0.3, 0.35, 0.5, 0.8, 0.9, 0.7, 0.3, 0.2, 0.2, 0.2, 0.25, 0.3]
MAIZE = [0.2, 0.2, 0.2, 0.2, 0.3, 0.5, 0.85, 0.85, 0.7, 0.3, 0.2, 0.2]
VINES = [0.25, 0.25, 0.26, 0.28, 0.3, 0.32, 0.33, 0.33, 0.32, 0.3, 0.27, 0.25]
WOOD = [0.6, 0.6, 0.65, 0.75, 0.85, 0.88, 0.88, 0.88, 0.85, 0.75, 0.65, 0.6]
LAKE = [-0.2] * 12
ROOF = [0.15] * 12


def seasons(rows, months=range(12), looks=24):
    """Seasons of parcels from (crop, NDVI by month, reflectance of B11, of B04); water where NDVI is below 0."""
    count = len(rows)
    ndvi = np.full((count, 12), np.nan)
    chosen = list(months)
    for number, (_, curve, _, _) in enumerate(rows):
        ndvi[number, chosen] = np.array(curve)[chosen] + 0.01 * (number % 3 - 1)
    swir = np.where(np.isfinite(ndvi), np.array([row[2] for row in rows])[:, None], np.nan)
    water = np.array([float(row[1][0] < 0) for row in rows])
    mndwi = np.where(np.isfinite(ndvi), np.where(water[:, None] > 0, 0.5, -0.4), np.nan)
    low, mid, high = np.nanpercentile(ndvi, [10, 50, 90], axis=1)
    whole = {"ndvi_p10": low, "ndvi": mid, "ndvi_p90": high, "red": np.array([row[3] for row in rows])}
    whole |= {"swir": swir[:, chosen[0]], "water": water, "ndbi": np.zeros(count), "vv": np.full(count, np.nan)}
    whole |= {name: np.zeros(count) for name in ("ndwi", "mndwi", "uneven")}
    crop = np.empty(count, object)
    crop[:] = [row[0] for row in rows]
    numbers = [np.full(count, float(value)) for value in (looks, len(chosen), 30 * (max(chosen) - min(chosen)))]
    return Seasons(crop, *numbers, whole, {"ndvi": ndvi, "swir": swir, "mndwi": mndwi})


FIELDS = [("wheat", WHEAT, 0.2, 0.05)] * 12 + [("maize", MAIZE, 0.22, 0.06)] * 12
CHANGED = [("wheat", LAKE, 0.03, 0.03), ("maize", ROOF, 0.3, 0.15), ("wheat", WOOD, 0.11, 0.03)]


def test_water_roofs_and_woods_are_named_and_crops_are_not():
    judged = judge(seasons(FIELDS + CHANGED))

    assert judged.kind.tolist() == [None] * 24 + ["water", "sealed or bare", "forest"]
    assert judged.nearest[:24].tolist() == ["wheat"] * 12 + ["maize"] * 12
    assert judged.seen.all()


def test_what_reflects_radar_like_ground_is_no_water():
    rough = seasons(FIELDS + CHANGED)
    rough.whole["vv"][:] = -9.0
    calm = seasons(FIELDS + CHANGED)
    calm.whole["vv"][-3] = -20.0

    assert judge(rough).kind[-3] != "water"
    assert judge(calm).kind[-3] == "water"


def test_another_crop_than_declared_is_no_change_of_land_use():
    judged = judge(seasons([*FIELDS, ("wheat", MAIZE, 0.22, 0.06)]))

    assert judged.kind[-1] is None
    assert judged.nearest[-1] == "maize"


def test_a_sign_that_is_usual_for_a_crop_is_none_where_the_season_is_like_that_crop():
    vines = [("vines", VINES, 0.25, 0.12)] * 12

    among_vines = judge(seasons([*FIELDS, *vines, ("wheat", VINES, 0.25, 0.12)]))
    alone = judge(seasons([*FIELDS, ("wheat", VINES, 0.25, 0.12)]))

    assert among_vines.kind.tolist() == [None] * 37
    assert alone.kind[-1] == "sealed or bare"


def test_a_season_like_none_of_the_crops_is_named_so():
    upside_down = [1 - value for value in WHEAT]

    judged = judge(seasons([*FIELDS, ("wheat", upside_down, 0.2, 0.05), ("asparagus", upside_down, 0.2, 0.05)]))

    assert judged.kind[-2:].tolist() == [
        "unlike any crop",
        None,
    ]  # of one parcel of asparagus nobody knows what is usual
    assert judged.distance[-2] > 3


@pytest.mark.parametrize(("months", "looks"), [(range(3), 24), (range(12), 5), (range(3, 7), 24)])
def test_too_few_looks_months_or_days_say_nothing(months, looks):
    judged = judge(seasons(FIELDS + CHANGED, months, looks))

    assert not judged.seen.any()
    assert judged.kind.tolist() == [None] * 27


def test_without_peers_signs_alone_decide():
    judged = judge(seasons([("wheat", WHEAT, 0.2, 0.05), *CHANGED]))

    assert not judged.compared
    assert judged.kind.tolist() == [None, "water", "sealed or bare", "forest"]
    assert np.isnan(judged.distance).all()


@pytest.fixture(scope="module")
def landscape(tmp_path_factory):
    """A generated landscape in which nine parcels of 150 are woods, houses or water."""
    folder = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        truth = planted.make(folder)
        yield folder, truth, years.land_use("demo", 2024, lake=open_lake())


def test_planted_changes_are_candidates_and_hardly_anything_else_is(landscape):
    _, truth, found = landscape
    kinds = dict(zip(found["pid"].to_pylist(), found["kind"].to_pylist(), strict=True))
    named = {pid: kind for pid, kind in kinds.items() if kind}

    right = [pid for pid, kind in named.items() if planted.COVERS.get(truth.get(pid)) == kind]
    assert len(truth) == 9
    assert len(right) >= 7
    assert len(named) - len(right) <= 1
    assert found["rank"].to_pylist()[: len(named)] == list(range(1, len(named) + 1))
    assert found.num_rows == len(kinds) > 100


def test_candidates_are_a_layer_of_a_geopackage_and_on_a_map(landscape, monkeypatch):
    folder, _, found = landscape
    monkeypatch.setenv("CBM_LAKE_HOME", str(folder))
    command = ["years", "landuse", "demo", "2024", "--map", str(folder / "m.png"), "--to", str(folder / "x.gpkg")]

    shown = CliRunner().invoke(app, command)

    ranked = changed.candidates(found)
    layer = gpd.read_file(folder / "x.gpkg")
    assert shown.exit_code == 0
    assert f"{ranked.num_rows} candidates of {found.num_rows} parcels" in shown.stdout
    assert layer["pid"].tolist() == ranked["pid"].to_pylist()
    assert layer.crs.to_epsg() == 3035
    assert layer.area.to_numpy() == pytest.approx(ranked["area_m2"].to_numpy(), rel=0.01)
    assert (folder / "m.png").stat().st_size > 10_000
    with pytest.raises(InvalidInputError, match="1 or more"):
        changed.candidates(found, 0)


def test_real_parcels_of_a_mediterranean_year_have_few_candidates(realdata, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    folder = realdata / "s2_herault_2018"
    card2db.safe(folder / "safe", lake=lake)
    parcels.load(str(folder / "parcels.parquet"), "fr34", 2018, pid="parcel_id", crop_name="EC_hcat_n", lake=lake)
    bands = ["B03", "B04", "B08", "B11"]
    extract.s2("2018-01-01", "2018-12-31", aoi="fr34", year=2018, bands=bands, workers=0, lake=lake)

    found = years.land_use("fr34", 2018, lake=lake)

    ranked = changed.candidates(found)
    assert ranked.num_rows <= 0.05 * found.num_rows
    assert set(ranked["kind"].to_pylist()) <= {"sealed or bare", "unlike any crop"}


def test_a_set_of_which_nothing_was_seen_is_refused(lake):
    declare(lake, {2024: [("a", 0, 100, "wheat"), ("b", 100, 200, "maize")]})
    with pytest.raises(
        NotFoundError, match="too little was seen of every parcel of ms 2024; extract more of Sentinel-2"
    ):
        years.land_use("ms", 2024, lake=lake)


def test_what_the_land_of_candidates_was_the_year_before_is_said_where_it_is_known(lake, monkeypatch):
    now = [
        ("new", 0, 100, "wheat"),
        ("old", 100, 200, "wheat"),
        ("unseen", 200, 300, "wheat"),
        ("b", 300, 400, "wheat"),
    ]
    was = [("x", 0, 120, "wheat"), ("y", 120, 200, "wheat"), ("z", 200, 300, "wheat"), ("b", 300, 400, "wheat")]
    declare(lake, {2023: was, 2024: now})
    kinds = {2024: ["water", "water", "forest", None], 2023: [None, "water", None, None]}

    def read(lake, parcels):
        declared = lake.query("parcels.declared", **parcels.params, outlines=False)
        return declared, parcels.year

    def judged(year):
        order = {"new": 0, "old": 1, "unseen": 2, "b": 3} if year == 2024 else {"x": 0, "y": 1, "z": 2, "b": 3}
        pids = sorted(order)
        kind = np.array([kinds[year][order[pid]] for pid in pids], object)
        seen = np.array([not (year == 2023 and pid == "z") for pid in pids])
        return resemblance.Resembled(seen, kind, np.zeros(4), np.array(["wheat"] * 4, object), True)

    monkeypatch.setattr(changed.seasons, "read", read)
    monkeypatch.setattr(changed.resemblance, "judge", judged)

    pids = pa.array(sorted(["new", "old", "unseen", "b"]))
    before = changed._kinds_before(lake, lake.parcel_set("ms", 2024), pids, judged(2024))

    assert dict(zip(pids.to_pylist(), before, strict=True)) == {
        "b": None,
        "new": "a crop",
        "old": "the same",
        "unseen": None,
    }


def test_the_rules_are_commands_that_say_how_many(lake, tmp_path):
    declare(lake, {2023: [("1", 0, 100, "maize"), ("2", 100, 200, "rye")], 2024: [("1", 0, 200, "maize")]})
    file = tmp_path / "no.csv"

    shown = CliRunner().invoke(app, ["years", "rotation", "ms", "2024", "--only", "no", "--to", str(file)])

    assert shown.exit_code == 0, shown.output
    assert "crop rotation: 1 no" in shown.stdout
    assert file.read_text().count("\n") == 2
    assert fields.said(years.rotation("ms", 2024))["1"][3] == 0.5
