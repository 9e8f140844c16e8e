"""The shift guard: planted shifts are recovered, scenes in place are not accused, and what is unsure is undecided."""

import math

import displaced
import numpy as np
import pytest
from displaced import DATES, Tile, catalogued, season
from scipy import ndimage
from typer.testing import CliRunner

from cbm_lake import guard
from cbm_lake.cards.pixelrule import PixelRule
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.guard import adjustment, registration
from cbm_lake.guard.verdicts import Displaced, Measured, Offset, judge
from cbm_lake.lake import Lake, open_lake

pytestmark = pytest.mark.thorough


runner = CliRunner()
DAY = displaced.DATES[2]


def told(lake, **options):
    return guard.shifts("ms", 2024, lake=lake, **options).to_pylist()


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A season with all scenes in their place."""
    folder = tmp_path_factory.mktemp("still")
    return season(Lake(str(folder / "lake")), folder / "scenes")


@pytest.fixture(scope="module")
def displaced_one(tmp_path_factory):
    """A season whose third scene lies 5 m east and 4 m south."""
    folder = tmp_path_factory.mktemp("displaced")
    return season(Lake(str(folder / "lake")), folder / "scenes", {2: (5.0, -4.0)})


@pytest.mark.parametrize(
    ("size", "angle"),
    [(2, 200), (10, 90), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((5, 80), (7.5, 140), (10, 320)))],
)
def test_a_scene_drawn_beside_its_place_is_recovered_to_a_tenth_of_a_pixel(tmp_path, size, angle):
    moved = (size * math.cos(math.radians(angle)), size * math.sin(math.radians(angle)))
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: moved}))
    assert (rows[2]["east"], rows[2]["north"]) == pytest.approx(moved, abs=1)
    assert rows[2]["verdict"] == ("shifted" if size >= 3 else "ok")
    assert [row["verdict"] for n, row in enumerate(rows) if n != 2] == ["ok"] * 4


def test_scenes_in_their_place_are_not_accused(still):
    rows = told(still)
    assert {row["verdict"] for row in rows} == {"ok"}
    assert all(math.hypot(row["east"], row["north"]) < 0.7 for row in rows)
    assert all(math.hypot(row["frame_east"], row["frame_north"]) < 1 for row in rows)
    assert all(row["borders"] >= 10 and row["scenes"] == 5 for row in rows)


def test_errors_are_stated_in_metres_and_pixels(still):
    for row in told(still):
        assert row["east_pixels"] == pytest.approx(row["east"] / 10)
        assert row["error_pixels"] == pytest.approx(row["error"] / 10)
        assert 0 < row["error"] < 1


@pytest.mark.slow
def test_a_season_that_lies_off_the_borders_as_a_whole_is_reported_and_accuses_no_scene(tmp_path, caplog):
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", dict.fromkeys(range(5), (6.0, 3.0))))
    assert {row["verdict"] for row in rows} == {"ok"}
    assert (rows[0]["frame_east"], rows[0]["frame_north"]) == pytest.approx((6, 3), abs=1)
    assert "off the declared borders" in caplog.text


@pytest.mark.slow
def test_scenes_displaced_to_opposite_sides_are_both_recovered_and_the_others_are_not_accused(tmp_path):
    days = (*DATES, "20240624")
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {1: (7, 3), 4: (-7, -3)}, dates=days))
    assert [row["verdict"] for row in rows] == ["ok", "shifted", "ok", "ok", "shifted", "ok"]
    assert (rows[1]["east"], rows[1]["north"]) == pytest.approx((7, 3), abs=1)
    assert (rows[4]["east"], rows[4]["north"]) == pytest.approx((-7, -3), abs=1)


def test_a_displaced_scene_that_is_half_clouded_is_recovered_by_what_is_clear(tmp_path):
    sky = np.full((displaced.SIZE // 2, displaced.SIZE // 2), 4)
    sky[:, : displaced.SIZE // 4] = 9
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (-6, 4)}, classes={2: sky}))
    assert rows[2]["clear"] < 0.55
    assert (rows[2]["east"], rows[2]["north"]) == pytest.approx((-6, 4), abs=1)
    assert [row["verdict"] for row in rows] == ["ok", "ok", "shifted", "ok", "ok"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(Tile("T31TEJ"), Tile("T31TDJ"), id="of one grid"),
        pytest.param(Tile("T31TEJ"), Tile("T31TDJ", left=displaced.LEFT - 600), id="of one zone"),
        pytest.param(Tile("T31TGJ", left=740_000), Tile("T32TKP", 32632, 252_500, 4_800_200), id="of two zones"),
    ],
)
def test_scenes_of_two_tiles_of_one_pass_are_measured_each_by_itself(tmp_path, first, second):
    shapes = displaced.fields().translate(first.left - displaced.LEFT)
    frame = displaced.fields().set_geometry(shapes)
    folder = tmp_path / "scenes"
    folder.mkdir()
    for tile, displaced_one, moved in ((first, 2, (5, -4)), (second, 1, (6, 3))):
        ground = shapes.to_crs(tile.epsg).values
        for number, date in enumerate(DATES):
            displaced.scene_files(folder, date, number, moved if number == displaced_one else (0, 0), ground, tile=tile)
    frame.to_file(folder / "parcels.gpkg")
    lake = Lake(str(tmp_path / "lake"))
    displaced.parcels.load(str(folder / "parcels.gpkg"), "ms", 2024, pid="pid", lake=lake)
    assert catalogued(lake, folder).scenes == 10
    named = [(tile, row) for row in told(lake) for tile in (first, second) if tile.name in row["scene"]]
    rows = {(row["scene"][:8], tile): row for tile, row in named}
    assert len(rows) == 10
    shifted = {key: (row["east"], row["north"]) for key, row in rows.items() if row["verdict"] == "shifted"}
    planted = {(DATES[2], first): (5, -4), (DATES[1], second): (6, 3)}
    assert shifted == {key: pytest.approx(moved, abs=1) for key, moved in planted.items()}
    assert {row["verdict"] for key, row in rows.items() if key not in shifted} == {"ok"}


# -- what is unsure ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_clouded_scene_is_undecided(tmp_path):
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (8, 0)}, classes={2: 9}))
    assert (rows[2]["verdict"], rows[2]["east"]) == ("undecided", None)
    assert rows[2]["reason"] == "clouded: 0 % of the sample is clear"
    assert {row["verdict"] for n, row in enumerate(rows) if n != 2} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_scenes_confirm_nothing(tmp_path, count):
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {0: (8, 0)}, dates=DATES[:count]))
    assert [row["verdict"] for row in rows] == ["undecided"] * count
    assert "fewer than 2 other clear scenes" in rows[0]["reason"]


@pytest.mark.slow
def test_a_scene_on_another_grid_is_undecided_and_the_reason_says_so(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    frame = displaced.fields()
    beside = Tile(left=displaced.LEFT + 10)
    for number, date in enumerate(DATES):
        tile = beside if number == 2 else Tile()
        displaced.scene_files(folder, date, number, (0, 0), frame.geometry.values, tile=tile)
    frame.to_file(folder / "parcels.gpkg")
    lake = Lake(str(tmp_path / "lake"))
    displaced.parcels.load(str(folder / "parcels.gpkg"), "ms", 2024, pid="pid", lake=lake)
    catalogued(lake, folder)
    rows = told(lake)
    assert [row["verdict"] for row in rows] == ["ok", "ok", "undecided", "ok", "ok"]
    assert rows[2]["reason"].startswith("its pixels lie on another grid")
    assert "than those of 4 other scenes" in rows[2]["reason"]


@pytest.mark.parametrize(("clear", "elsewhere", "named"), [(2, 3, True), (2, 0, False), (3, 3, False)])
def test_another_grid_is_a_reason_only_where_its_own_has_too_few_scenes(clear, elsewhere, named):
    season = [measured(f"s{number}", (0, 0), {}) for number in range(clear)]
    reasons = [one.reason for one in judge(season, elsewhere)]
    assert {reason.startswith("its pixels lie on another grid") for reason in reasons} == {named}


@pytest.mark.slow
def test_uniform_ground_is_undecided(tmp_path):
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", uniform=True))
    assert {row["verdict"] for row in rows} == {"undecided"}
    assert "borders" in rows[0]["reason"]


def test_few_parcels_are_undecided(tmp_path):
    few = displaced.fields().iloc[:3]
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (8, 0)}, shapes=few))
    assert {row["verdict"] for row in rows} == {"undecided"}
    assert "fewer than 10 borders" in rows[2]["reason"]


def test_bands_of_20_m_alone_are_undecided(tmp_path):
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (8, 0)}, bands=("B05", "B11")))
    assert {row["verdict"] for row in rows} == {"undecided"}
    assert rows[0]["reason"] == "the scene has no B04, B08, which a shift is measured on"


def test_a_scene_without_classes_is_undecided(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    folder = tmp_path / "scenes"
    folder.mkdir()
    displaced.scene_files(folder, DATES[0], 0, (0, 0), displaced.fields().geometry.values)
    next(folder.glob("*SCL.tif")).unlink()
    displaced.fields().to_file(folder / "parcels.gpkg")
    displaced.parcels.load(str(folder / "parcels.gpkg"), "ms", 2024, pid="pid", lake=lake)
    catalogued(lake, folder)
    (row,) = told(lake)
    assert (row["verdict"], "no SCL" in row["reason"]) == ("undecided", True)


def test_parcels_declared_in_another_zone_are_compared_where_they_are(tmp_path):
    shapes = displaced.fields().to_crs(32630)
    rows = told(season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (5, 5)}, shapes=shapes))
    assert [row["verdict"] for row in rows] == ["ok", "ok", "shifted", "ok", "ok"]
    assert (rows[2]["east"], rows[2]["north"]) == pytest.approx((5, 5), abs=1)


def measured(scene, borders, pairs):
    about = [Displaced(other, Offset(*moved, 0.3), 40) for other, moved in pairs.items()]
    return Measured(scene, None, "g", 10.0, 1.0, Offset(*borders, 0.5), 50, pairs=tuple(about))


def test_borders_and_other_scenes_that_contradict_each_other_decide_nothing():
    season = [
        measured("a", (0, 0), {}),
        measured("b", (0, 0), {"a": (0, 0)}),
        measured("c", (0, 0), {"a": (6, 0), "b": (6, 0)}),
        measured("d", (0, 0), {"a": (0, 0), "b": (0, 0)}),
    ]
    verdicts = {one.measured.scene: one for one in judge(season)}
    assert verdicts["c"].verdict == "undecided"
    assert "contradict" in verdicts["c"].reason
    assert verdicts["c"].offset is None
    assert verdicts["d"].verdict == "ok"


def test_an_area_without_extractions_is_refused_by_name(still):
    with pytest.raises(NotFoundError, match="no parcels of xx 2024"):
        guard.shifts("xx", 2024, lake=still)


# -- the parts against other ways -------------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", [(0.3, -0.2), (1.0, 0.0), (-1.6, 1.1)])
def test_registration_finds_what_a_spline_moved(moved):
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.normal(0, 1, (200, 180)), 1.5) * 4000 + 3000
    shifted = ndimage.shift(image, (moved[1], moved[0]), order=5, mode="nearest") * 1.4 + 200
    clear = np.ones(image.shape, bool)
    reference = registration.blurred(image.astype(np.float32))
    corners = registration.tiles(image.shape, 40)
    there = registration.register(shifted.astype(np.float32), clear, reference, clear, corners)
    assert (there.right, there.down) == pytest.approx(moved, abs=0.02)


def test_registration_of_noise_says_nothing():
    rng = np.random.default_rng(4)
    first, second = (rng.normal(3000, 50, (200, 180)).astype(np.float32) for _ in range(2))
    clear = np.ones(first.shape, bool)
    corners = registration.tiles(first.shape, 40)
    assert registration.register(first, clear, registration.blurred(second), clear, corners) is None


def test_a_wrong_pair_moves_no_position():
    rng = np.random.default_rng(5)
    truth = rng.normal(0, 2, (8, 2))
    truth -= adjustment.centre(truth)[0]
    pairs = [
        adjustment.Pair(i, j, *(truth[i] - truth[j] + rng.normal(0, 0.05, 2)), 0.05)
        for i in range(8)
        for j in (i - 1, i - 2, i - 3)
        if j >= 0
    ]
    pairs[4] = pairs[4]._replace(east=pairs[4].east + 9)
    positions = adjustment.adjusted(8, pairs)
    assert np.abs(positions.xy - truth).max() < 0.3


def chain(truth):
    """Pairs of scenes at these positions, each with the two before it, without errors."""
    return [
        adjustment.Pair(i, j, *(truth[i] - truth[j]), 0.3) for i in range(len(truth)) for j in (i - 1, i - 2) if j >= 0
    ]


def test_a_scene_has_no_vote_on_where_most_scenes_lie():
    truth = np.random.default_rng(8).normal(0, 2, (8, 2))
    before = adjustment.adjusted(8, chain(truth))
    truth[3] += (2.0, -1.0)
    after = adjustment.adjusted(8, chain(truth))
    moved = (after.xy - after.zero)[3] - (before.xy - before.zero)[3]
    assert moved == pytest.approx((2, -1), abs=0.15)
    drawn = after.xy[3] - before.xy[3]  # about where all lie, which the scene has drawn along
    assert drawn[0] < 1.85


def test_one_displaced_scene_of_three_does_not_move_zero_of_the_others():
    truth = np.array([(0.0, 0.0), (0.2, 0.1), (9.0, -9.0)])
    positions = adjustment.adjusted(3, chain(truth))
    assert np.abs((positions.xy - positions.zero)[:2]).max() < 0.5
    assert (positions.xy - positions.zero)[2] == pytest.approx((9, -9), abs=0.5)


def test_scenes_that_no_pair_connects_have_no_position():
    pairs = [adjustment.Pair(1, 0, 1, 0, 0.1), adjustment.Pair(2, 1, 0, 0, 0.1), adjustment.Pair(4, 3, 5, 5, 0.1)]
    positions = adjustment.adjusted(5, pairs)
    assert np.isnan(positions.error).tolist() == [False, False, False, True, True]


# -- the record -------------------------------------------------------------------------------------------------------


def test_estimates_are_stored_once_and_seen_by_sql(tmp_path):
    lake = season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (5.0, -4.0)})
    assert lake.sql("from shifts").num_rows == 0
    guard.shifts("ms", 2024, store=False, lake=lake)
    assert lake.sql("from shifts").num_rows == 0
    rows = told(lake)
    assert lake.sql("select verdict, count(*) as n from shifts group by verdict order by n").to_pylist() == [
        {"verdict": "shifted", "n": 1},
        {"verdict": "ok", "n": 4},
    ]
    assert told(lake) == rows
    assert lake.sql("from measured_shifts").num_rows == 5


@pytest.mark.slow
def test_a_later_scene_alone_is_measured_and_the_result_is_that_of_all(tmp_path):
    lake = season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (5.0, -4.0)}, dates=DATES[:4])
    told(lake)
    displaced.scene_files(tmp_path / "scenes", DATES[4], 4, (0, 6), displaced.fields().geometry.values)
    catalogued(lake, tmp_path / "scenes")
    later = told(lake)
    anew = told(lake, again=True)
    for one, other in zip(later, anew, strict=True):
        assert one["verdict"] == other["verdict"]
        assert one["east"] == pytest.approx(other["east"], abs=1e-6)
    assert later[4]["verdict"] == "shifted"


@pytest.mark.slow
def test_scenes_that_were_compared_with_one_that_is_published_again_are_measured_again(tmp_path):
    lake = season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", {2: (8.0, 0.0)})
    assert [row["verdict"] for row in told(lake)].index("shifted") == 2
    (tmp_path / "again").mkdir()
    displaced.scene_files(tmp_path / "again", DATES[2], 2, (0, 0), displaced.fields().geometry.values)
    catalogued(lake, tmp_path / "again")
    later = told(lake)
    assert {row["verdict"] for row in later} == {"ok"}
    for one, other in zip(later, told(lake, again=True), strict=True):
        assert (one["east"], one["scenes_east"]) == pytest.approx((other["east"], other["scenes_east"]), abs=1e-6)


def test_a_lake_without_the_table_says_that_nothing_was_measured(lake):
    assert lake.sql("from shifts").num_rows == 0


# -- what it does to numbers ------------------------------------------------------------------------------------------


def ndvi(lake):
    rows = lake.sql(
        "select pid, rule, ndvi(B04_mean, B08_mean) as ndvi, B04_count as pixels from s2 where obstime::date = $day "
        "order by pid",
        day=f"{DAY[:4]}-{DAY[4:6]}-{DAY[6:]}",
    )
    return rows.to_pandas().set_index("pid")


@pytest.mark.slow
def test_extraction_moves_parcels_with_their_scene_and_says_so(displaced_one, still, tmp_path):
    folder = tmp_path / "scenes"
    lake = season(Lake(str(tmp_path / "lake")), folder, {2: (5.0, -4.0)})
    plain, truth = ndvi(lake), ndvi(still)
    told(lake)
    assert catalogued(lake, folder, shifted=True).scenes == 1
    assert catalogued(lake, folder, shifted=True).scenes == 0
    corrected = ndvi(lake)
    (rule,) = corrected["rule"].unique()
    assert rule.startswith("centre, moved +")
    before, after = ((one["ndvi"] - truth["ndvi"]).abs().median() for one in (plain, corrected))
    assert after < before / 2
    rules = lake.sql("select distinct rule from ledger").to_pylist()
    assert {row["rule"] for row in rules} == {"centre", rule}


@pytest.mark.slow
def test_extraction_without_measured_shifts_warns_and_moves_nothing(still, tmp_path, caplog):
    folder = tmp_path / "scenes"
    lake = season(Lake(str(tmp_path / "lake")), folder)
    assert catalogued(lake, folder, shifted=True).scenes == 0
    assert "none is corrected" in caplog.text


def test_shifts_of_another_card_are_refused(still):
    from cbm_lake.extract import shifting

    with pytest.raises(InvalidInputError, match="of card s2 alone"):
        shifting.measured(still, displaced.extract.cards.get("bs"), still.parcel_set("ms", 2024))


def test_the_implied_error_is_that_of_the_numbers(displaced_one, still):
    told(displaced_one)
    rows = guard.shift_errors("ms", 2024, lake=displaced_one).to_pandas()
    looks = rows[rows["obstime"].dt.strftime("%Y%m%d") == DAY].set_index("pid")
    assert (looks["verdict"] == "shifted").all()
    change = (ndvi(displaced_one)["ndvi"] - ndvi(still)["ndvi"]).abs()
    assert looks["ndvi_error"].median() == pytest.approx(change.median(), rel=0.6)
    others = rows[rows["obstime"].dt.strftime("%Y%m%d") != DAY]
    assert others["ndvi_error"].median() < looks["ndvi_error"].median() / 3


def test_undecided_scenes_have_no_implied_error(tmp_path):
    lake = season(Lake(str(tmp_path / "lake")), tmp_path / "scenes", dates=DATES[:1])
    told(lake)
    assert guard.shift_errors("ms", 2024, lake=lake)["ndvi_error"].null_count == len(displaced.fields())


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (PixelRule(moved=(5.0, -1.5)), "centre, moved +5.0 -1.5 m"),
        (PixelRule("coverage", moved=(-0.5, 0.0)), "coverage, moved -0.5 +0.0 m"),
        (PixelRule("centre", 5.0, moved=(3.0, 4.0)), "centre, 5 m inside, moved +3.0 +4.0 m"),
        (PixelRule("centre", 5.0, True, (3.0, 4.0)), "centre, too small for 5 m inside, moved +3.0 +4.0 m"),
    ],
)
def test_a_rule_with_a_shift_is_read_back_as_it_was_written(rule, text):
    assert (str(rule), PixelRule.parse(text)) == (text, rule)
    assert "_moved_" in rule.index_name("g")


@pytest.mark.slow
def test_the_command_line_shows_shifted_scenes_and_corrects_them(workspace, tmp_path):
    season(open_lake(), tmp_path / "scenes", {2: (5.0, -4.0)})
    told = runner.invoke(app, ["guard", "shifts", "--aoi", "ms", "--year", "2024"])
    assert told.exit_code == 1
    assert "1 of 5 scenes are shifted" in told.output
    words = ["extract", "s2", "--aoi", "ms", "--year", "2024", "--start", "2024-01-01", "--end", "2024-12-31"]
    done = runner.invoke(app, [*words, "--bands", "B04,B08", "--workers", "0", "--correct-shift"])
    assert "1 scenes extracted" in done.output
    errors = runner.invoke(app, ["guard", "shift-errors", "--aoi", "ms", "--year", "2024"])
    assert errors.output.startswith('"pid","scene"')
