"""The parts of a crop check against truth tables small enough for pencil, and against numpy and scipy."""

import made_up
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from cbm_lake.crops import Settings, accusations, conformal, groups
from cbm_lake.crops.features import features, smoothed
from cbm_lake.crops.folds import folds_of, training


def test_a_p_value_is_the_share_of_declared_parcels_that_look_no_more_like_the_crop():
    scores = np.array([[1.0, 9], [2, 8], [3, 7], [9, 1], [2.5, 2]])
    declared = np.array([0, 0, 0, 1, -1])
    seen = np.ones(5, bool)
    sizes = np.zeros(5, np.int64)
    cell, calibrating = conformal.cells_of(declared, sizes, declared >= 0, fewest=1, count=2)
    p = conformal.p_values(scores, declared, sizes, declared >= 0, seen, cell)
    assert p[:, 0] == pytest.approx([1 / 3, 2 / 3, 3 / 3, 4 / 4, 3 / 4])  # itself left out where it calibrates
    assert p[:, 1] == pytest.approx([2 / 2, 2 / 2, 2 / 2, 1 / 1, 2 / 2])
    assert calibrating.tolist() == [[3], [1]]


def test_size_classes_calibrate_themselves_where_all_of_a_group_have_enough():
    group = np.array([0] * 6 + [1] * 4)
    size = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 1])
    cell, calibrating = conformal.cells_of(group, size, np.ones(10, bool), fewest=3, count=2)
    assert cell.tolist() == [[0, 1], [-1, -1]]
    assert calibrating.tolist() == [[3, 3], [4, 4]]


def test_agreement_is_the_share_of_other_crops_that_look_as_much_like_the_declared_one():
    scores = np.array([[5.0, 0], [2, 0], [3, 1], [1, 2]])
    p = conformal.agreement(scores, np.array([0, 0, 1, 1]), np.zeros(4, np.int64), np.ones(4, bool))
    assert p == pytest.approx([1 / 3, 2 / 3, 1 / 3, 1 / 3])


@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.sampled_from([0.05, 0.1, 0.3]))
def test_of_any_scores_no_more_than_alpha_have_a_p_value_of_alpha(seed, count, alpha):
    luck = np.random.default_rng(seed)
    scores = luck.integers(0, 20, (count, 3)).astype(float)
    group, size = luck.integers(0, 3, count), luck.integers(0, 2, count)
    every = np.ones(count, bool)
    cell, _ = conformal.cells_of(group, size, every, fewest=5, count=3)
    p = conformal.p_values(scores, group, size, every, every, cell)[np.arange(count), group]
    for one in range(3):
        for size_class in range(2):
            inside = (group == one) & (size == size_class) if (cell[one] >= 0).all() else group == one
            assert (p[inside] <= alpha).sum() <= alpha * inside.sum()


def test_no_parcel_is_in_the_training_of_its_fold_nor_within_the_buffer():
    luck = np.random.default_rng(0)
    x, y = luck.uniform(0, 200_000, 500), luck.uniform(0, 200_000, 500)
    folds = folds_of(x, y, Settings())
    assert folds.side_m == 25_000
    assert folds.blocks == 64
    assert np.bincount(folds.fold).min() > 80
    for number in range(folds.count):
        rows = training(folds, number, x, y, 3_000)
        inside = folds.fold == number
        distance = np.hypot(x[rows][:, None] - x[inside], y[rows][:, None] - y[inside])
        assert distance.min() > 3_000
        near = np.hypot(x[:, None] - x[inside], y[:, None] - y[inside]).min(axis=1) <= 3_000
        assert np.array_equal(rows, ~near)


def test_parcels_of_a_block_are_in_one_fold():
    luck = np.random.default_rng(1)
    x, y = luck.uniform(0, 300_000, 400), luck.uniform(0, 300_000, 400)
    fold = folds_of(x, y, Settings(seed=5)).fold
    block = np.floor(x / 25_000) * 1000 + np.floor(y / 25_000)
    assert all(len(set(fold[block == one])) == 1 for one in block)


def test_blocks_are_halved_where_there_are_few():
    luck = np.random.default_rng(2)
    folds = folds_of(luck.uniform(0, 20_000, 300), luck.uniform(0, 20_000, 300), Settings())
    assert folds.count == 5
    assert folds.blocks >= 10
    assert folds.side_m == 6_250


def test_curves_are_kernel_means_at_every_twentieth_day():
    days = np.arange(0, 100, 10)
    values = np.random.default_rng(3).normal(0, 1, (4, 10)).astype(np.float32)
    values[0, 3:7] = np.nan
    values[1] = np.nan
    curves = smoothed(values, days)
    assert curves.shape == (4, 5)
    assert np.isnan(curves[1]).all()
    for parcel in (0, 2, 3):
        for number, node in enumerate(range(0, 100, 20)):
            there = np.isfinite(values[parcel])
            distance = (days[there] - node) / 15
            weight = np.exp(-(distance**2) / 2) + 1e-3 * np.exp(-((distance / 4) ** 2) / 2) + 1e-9
            assert curves[parcel, number] == pytest.approx(np.average(values[parcel][there], weights=weight), abs=1e-5)


def test_what_is_later_than_a_day_changes_no_feature():
    season = made_up.season(40, 3)
    later = {
        name: np.where(np.arange(36) > 20, 99, values).astype(np.float32) for name, values in season.values.items()
    }
    changed = type(season)(**{**vars(season), "values": later})
    day = int(season.days[20])
    assert np.array_equal(features(season.until(day)).matrix, features(changed.until(day)).matrix)


def test_indices_follow_from_bands_and_radar_ratios_from_their_unit():
    season = made_up.season(5, 2, clouds=0)
    bands = {"B04": np.full((5, 36), 0.1), "B08": np.full((5, 36), 0.3), "VV": np.full((5, 36), -10.0)}
    bands |= {"VH": np.full((5, 36), -16.0)}
    from cbm_lake.crops.features import quantities

    values = dict(quantities(type(season)(**{**vars(season), "values": bands})))
    assert values["NDVI"] == pytest.approx(np.full((5, 36), 0.5))
    assert values["VH/VV"] == pytest.approx(np.full((5, 36), -6))
    linear = {"VV": np.full((5, 36), 0.1), "VH": np.full((5, 36), 0.025)}
    assert dict(quantities(type(season)(**{**vars(season), "values": linear})))["VH/VV"] == pytest.approx(0.25)


def test_rare_crops_are_joined_to_the_nearest_parent_that_has_enough():
    counts = {"1101010011": 50, "1101010012": 4, "1101010021": 7, "1102000020": 3, "1103000010": 1, "grass": 2}
    joined = groups.join_rare(counts, 10)
    assert joined["1101010011"] == "1101010011"
    assert joined["1101010012"] == joined["1101010021"] == "1101010000 (few)"
    assert joined["1102000020"] == joined["1103000010"] == joined["grass"] == "rare crops"


def test_crops_that_no_model_tells_apart_are_one_group():
    luck = np.random.default_rng(4)
    crop = np.repeat([0, 1, 2], 60)
    probability = np.full((180, 3), 0.1)
    probability[crop == 2] = [0.1, 0.1, 0.8]
    probability[crop != 2, 0] = luck.random(120)
    probability[crop != 2, 1] = 1 - probability[crop != 2, 0]
    merged = groups.merge_confused({"a": "a", "b": "b", "c": "c"}, "abc", probability, crop, np.ones(180, bool), 0)
    assert merged == {"a": "a + b", "b": "a + b", "c": "c"}


@given(st.integers(0, 2**32 - 1))
def test_separability_is_the_statistic_of_mann_and_whitney(seed):
    luck = np.random.default_rng(seed)
    probability = luck.dirichlet([1, 1, 1], 50)
    first, second = np.arange(20), np.arange(20, 50)
    ratio = np.log(probability[:, 0] + 1e-6) - np.log(probability[:, 2] + 1e-6)
    expected = mannwhitneyu(ratio[first], ratio[second]).statistic / (20 * 30)
    assert groups._separability(probability, first, second, [0], [2]) == pytest.approx(expected)


def test_size_classes_have_names_and_unknown_areas_one_of_their_own():
    number, names = groups.size_classes(np.array([100.0, 5_000, 19_999, 20_000, np.nan]), (5_000, 20_000))
    assert [names[one] for one in number] == [
        "below 0.5 ha",
        "0.5 to 2 ha",
        "0.5 to 2 ha",
        "2 ha and more",
        "unknown size",
    ]


def alike(scores):
    """Declarations of parcels that are equally well seen."""
    return accusations.Declared(scores, np.zeros(len(scores), int))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_the_share_of_wrong_declarations_is_recovered_from_a_mixture(share):
    luck = np.random.default_rng(5)
    count = 4_000
    wrong = luck.random(count) < share
    declared = np.where(wrong, luck.normal(-2, 1, count), luck.normal(2, 1, count))  # the ratio is exp(4 s)
    mixture = accusations.fit(alike(declared), alike(luck.normal(-2, 1, 5 * count)), 1, None)
    assert mixture.estimate == pytest.approx(share, abs=max(0.25 * share, 0.006))
    assert mixture.wrong <= mixture.estimate
    if share:
        truth = share / (share + (1 - share) * np.exp(4 * declared))
        assert mixture.wrong_probability(declared, np.zeros(count, int)) == pytest.approx(truth, abs=0.15)


def test_the_accused_are_the_largest_set_with_the_promised_share_of_correct_ones():
    wrong = np.array([0.99, 0.5, 0.97, 0.9, 0.1])
    assert accusations.accused(wrong, 0.05).tolist() == [True, False, True, True, False]  # 0.14 / 3 = 0.047
    assert accusations.accused(wrong, 0.04).tolist() == [True, False, True, False, False]
    assert not accusations.accused(wrong, 0.005).any()
    assert not accusations.accused(np.zeros(0), 0.05).any()


@pytest.mark.thorough
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_over_many_draws_no_more_accusations_are_wrong_than_promised(alpha):
    wrongly = total = 0
    for draw in range(12):
        luck = np.random.default_rng([6, draw])
        wrong = luck.random(1_000) < 0.05
        declared = np.where(wrong, luck.normal(-1.5, 1, 1_000), luck.normal(1.5, 1, 1_000))
        mixture = accusations.fit(alike(declared), alike(luck.normal(-1.5, 1, 5_000)), 1, None)
        accused = accusations.accused(mixture.wrong_probability(declared, np.zeros(1_000, int)), alpha)
        wrongly, total = wrongly + (accused & ~wrong).sum(), total + accused.sum()
    assert total > 100
    assert wrongly / total <= alpha + 1.96 * np.sqrt(alpha * (1 - alpha) / total)
