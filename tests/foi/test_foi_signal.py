"""Uneven parcels are found by their signatures, by numbers that an independent calculation gives too."""

from itertools import product

import factories
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.foi.signal import suspicious
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


DATES = 4
PIDS = tuple(f"{number:02d}" for number in range(14))
CROPS = tuple(("wheat", "1") if number < 8 else ("maize", "2") if number < 12 else (None, None) for number in range(14))


def band(name, mean, std, half):
    return {f"{name}_mean": mean, f"{name}_std": std, f"{name}_p25": mean - half, f"{name}_p75": mean + half}


def written(lake, rng, *, uneven=("03",), clouded=(), small=()):
    """A lake of two crops with random unevenness; the parcels `uneven` have far more; the rows as a frame."""
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels(PIDS, CROPS))
    lake.add_scenes(factories.scenes(*(factories.scene(str(n), factories.day(n)) for n in range(DATES))))
    kept = []
    for number in range(DATES):
        rows = []
        for pid in PIDS:
            factor = 8 if pid in uneven else 1
            bands = {}
            for name, mean in (("B04", 500), ("B08", 3000)):
                std, half = rng.uniform(10, 30, 2) * factor
                bands |= band(name, mean + rng.uniform(0, 50), std, half)
            counts = {f"{name}_count": 5 if pid in small else 100 for name in ("B04", "B08")}
            scl = {9: 1, 4: 24} if (pid, number) in clouded else {4: 25}
            rows.append(factories.signature(pid, str(number), factories.day(number), scl=scl, **bands | counts))
            kept.append({"pid": pid, "date": number, "clear": (pid, number) not in clouded, **bands})
        factories.write(lake, factories.signatures(*rows), scene=str(number))
    return pd.DataFrame(kept)


def by_hand(rows, bands=("B04", "B08"), peers=5):
    """cv_z and iqr_z of each parcel, loop by loop."""
    crops = {pid: crop[0] or "" for pid, crop in zip(PIDS, CROPS, strict=True)}
    found = {pid: ([], []) for pid in PIDS}
    for date, name in product(range(DATES), bands):
        rest = rows[(rows["date"] == date) & rows["clear"]]
        cv = dict(zip(rest["pid"], rest[f"{name}_std"] / rest[f"{name}_mean"], strict=True))
        iqr = dict(zip(rest["pid"], (rest[f"{name}_p75"] - rest[f"{name}_p25"]) / rest[f"{name}_mean"], strict=True))
        for pid in cv:
            like = [other for other in cv if crops[other] == crops[pid]]
            group = like if len(like) >= peers else list(cv)
            for values, kept in zip((cv, iqr), found[pid], strict=True):
                numbers = np.array([values[other] for other in group])
                middle = np.median(numbers)
                kept.append((values[pid] - middle) / (1.4826 * np.median(np.abs(numbers - middle))))
    return {pid: tuple(map(np.median, both)) for pid, both in found.items() if both[0]}


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), peers=st.sampled_from([3, 5, 9]), bands=st.sampled_from([("B04",), ("B04", "B08")]))
def test_z_scores_are_those_of_a_calculation_by_hand(seed, peers, bands, workspace, tmp_path):
    lake = Lake(str(tmp_path / f"lake-{seed}-{peers}-{len(bands)}"))
    rows = written(lake, np.random.default_rng(seed), clouded={("01", 0), ("09", 2)})
    found = suspicious("ms", 2024, bands=bands, peers=peers, lake=lake).set_index("pid")
    told = by_hand(rows, bands, peers)
    assert set(found.index) == set(told)
    for pid, (cv_z, iqr_z) in told.items():
        row = found.loc[pid]
        assert (row["cv_z"], row["iqr_z"]) == pytest.approx((cv_z, iqr_z), rel=1e-3, abs=1e-4)
        assert row["score"] == pytest.approx((cv_z + iqr_z) / 2, rel=1e-3, abs=1e-4)


def test_the_most_uneven_parcels_come_first_and_ranks_count_from_one(lake):
    written(lake, np.random.default_rng(1), uneven=("03", "10"))
    found = suspicious("ms", 2024, peers=3, lake=lake)
    assert set(found["pid"][:2]) == {"03", "10"}
    assert found["rank"].tolist() == list(range(1, len(PIDS) + 1))
    assert found["score"].is_monotonic_decreasing
    assert found["score"][1] > 5 > found["score"][2]


def test_a_cloud_hides_a_date_only_where_it_is_and_only_beyond_the_share_that_is_allowed(lake):
    written(lake, np.random.default_rng(2), clouded={("00", 0), ("00", 1)})
    strict = suspicious("ms", 2024, dates=1, lake=lake).set_index("pid")["dates"]
    assert strict["00"] == DATES - 2
    assert (strict.drop("00") == DATES).all()
    assert (suspicious("ms", 2024, cloud=0.04, lake=lake)["dates"] == DATES).all()
    assert "00" not in set(suspicious("ms", 2024, dates=3, lake=lake)["pid"])
    assert (suspicious("ms", 2024, screen=[3], lake=lake)["dates"] == DATES).all()


def test_parcels_of_fewer_than_8_pixels_are_left_out(lake):
    written(lake, np.random.default_rng(3), small=("05",))
    assert set(PIDS) - set(suspicious("ms", 2024, lake=lake)["pid"]) == {"05"}


def test_parcels_that_are_all_alike_have_no_score_and_still_a_rank(lake):
    found = suspicious("ms", 2024, lake=factories.fill(lake, names=("A", "B", "C")))
    assert found["score"].isna().all()
    assert found["rank"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bands": ["B05"]}, "B05"),
        ({"bands": []}, "none"),
        ({"cloud": 2}, "cloud"),
        ({"peers": 0}, "peers"),
        ({"dates": 0}, "dates"),
    ],
)
def test_impossible_settings_are_refused(wrong, message, lake):
    with pytest.raises(InvalidInputError, match=message):
        suspicious("ms", 2024, **wrong, lake=factories.fill(lake))


def test_unknown_parcels_are_an_error_and_not_an_empty_answer(lake):
    with pytest.raises(NotFoundError, match="no parcels of ms 2024"):
        suspicious("ms", 2024, lake=lake)


def test_what_is_usual_for_a_crop_is_the_median_of_its_parcels(lake):
    rows = written(lake, np.random.default_rng(4), uneven=())
    params = {"screen": [3, 8, 9, 10, 11], "cloud": 0.0, "bands": ["B04"]}
    found = lake.query("foi.crop_spread", aoi="ms", year=2024, ptype="", **params).to_pandas().set_index("crop")
    for crop, pids in (("wheat", PIDS[:8]), ("maize", PIDS[8:12])):
        mine = rows[rows["pid"].isin(pids)]
        cv = (mine["B04_std"] / mine["B04_mean"]).to_numpy()
        assert found.loc[crop, "cv"] == pytest.approx(np.median(cv), rel=1e-5)
        assert found.loc[crop, "cv_mad"] == pytest.approx(1.4826 * np.median(np.abs(cv - np.median(cv))), rel=1e-4)
        assert found.loc[crop, ["parcels", "observations"]].tolist() == [len(pids), len(cv)]
