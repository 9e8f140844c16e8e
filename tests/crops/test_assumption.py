"""The promise of accusations: where its assumption holds, where it does not, and what little is seen does to it."""

import made_up
import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import poisson

from cbm_lake.crops import Settings, accusations
from cbm_lake.crops.accusations import Declared
from cbm_lake.crops.assumption import suspicion
from cbm_lake.crops.features import features, through_gaps
from cbm_lake.crops.folds import folds_of

pytestmark = pytest.mark.thorough


def mixed(counts, slopes, wrong, seed=0):
    """Scores of declarations and of planted ones, whose density ratio is exactly w + (1 - w) exp(a + b s)."""
    luck = np.random.default_rng(seed)
    scores, planted, stratum, is_wrong = [], [], [], []
    for number, (count, slope) in enumerate(zip(counts, slopes, strict=True)):
        bad = luck.random(count) < wrong
        scores.append(luck.normal(np.where(bad, 0, slope), 1))  # a normal shifted by b: its ratio is exp(-b²/2 + b s)
        planted.append(luck.normal(0, 1, 5 * count))
        stratum.append(np.full(count, number))
        is_wrong.append(bad)
    by_parcel = np.concatenate(stratum)
    return (
        Declared(np.concatenate(scores), by_parcel),
        Declared(np.concatenate(planted), np.repeat(by_parcel, 5)),
        np.concatenate(is_wrong),
    )


def test_the_mixture_is_that_from_which_the_scores_were_drawn():
    declared, planted, _ = mixed([6_000, 6_000], [2, 4], 0.1)
    mixture = accusations.fit(declared, planted, 2, 0.1)
    assert mixture.slope == pytest.approx([2, 4], rel=0.1)
    assert mixture.constant == pytest.approx([-2, -8], rel=0.1)
    assert accusations.fit(declared, planted, 2, None).estimate == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("wrong", [0, 0.01, 0.05, 0.2])
def test_of_parcels_that_are_seen_unequally_well_no_more_are_accused_wrongly_than_promised(alpha, wrong):
    accused, wrongly = 0, 0
    for seed in range(5):
        declared, planted, is_wrong = mixed([3_000, 3_000], [1.5, 6], wrong, seed)
        probability = accusations.fit(declared, planted, 2, None).wrong_probability(declared.scores, declared.stratum)
        chosen = accusations.accused(probability, alpha)
        accused, wrongly = accused + chosen.sum(), wrongly + (chosen & ~is_wrong).sum()
    assert wrongly <= alpha * accused + 1.96 * np.sqrt(alpha * (1 - alpha) * accused)
    assert wrong < 0.05 or accused > 0


def test_an_excess_is_what_chance_hardly_makes():
    assert accusations.excessive(np.array([10, 12, 40]), np.full(3, 10.0), 0.05).tolist() == [False, False, True]
    luck = np.random.default_rng(0)
    alarms = [accusations.excessive(luck.poisson(10, 8), np.full(8, 10.0), 0).any() for _ in range(2_000)]
    assert np.mean(alarms) <= 0.01 + 1.96 * np.sqrt(0.01 * 0.99 / 2_000)
    assert poisson.sf(39, 10) < 0.01 / 3


def scored(wrong):
    """A suspicion of 4,000 parcels of three groups, of which those in `wrong` are declared as another."""
    season = made_up.season(4_000, 3)
    luck, each = np.random.default_rng(0), np.arange(4_000)
    grown = luck.integers(3, size=4_000)
    by_group = luck.normal(0, 1, (4_000, 3)).astype(np.float32)
    by_group[each, grown] += 5
    bad = wrong(season, luck)
    group = np.where(bad, (grown + luck.integers(1, 3, 4_000)) % 3, grown)
    found = suspicion(season, by_group, softmax(by_group, axis=1), group, np.ones(4_000, bool), Settings())
    return season, bad, found


def test_wrong_declarations_that_lie_anywhere_are_no_reason_for_doubt():
    _, bad, found = scored(lambda _, luck: luck.random(4_000) < 0.05)
    assert not found.doubtful.any()
    assert found.wrong[bad].mean() > 0.6
    assert found.wrong[~bad].mean() < 0.05


def test_where_a_region_has_more_odd_parcels_than_others_it_is_doubtful_and_the_others_are_not():
    def corner(season):
        return (season.x < 3_050_000) & (season.y < 2_050_000)

    season, _, found = scored(lambda season, luck: corner(season) & (luck.random(4_000) < 0.8))
    assert "region" in found.doubts
    assert found.doubtful[corner(season)].all()
    assert found.doubtful[~corner(season)].mean() < 0.1
    assert found.mixture.wrong < 0.01


def test_gaps_of_others_hide_what_was_seen_and_show_nothing_else():
    season = made_up.season(50, 3)
    rows, others = np.array([3, 7]), np.array([11, 7])
    again = through_gaps(season, rows, others)
    for name, values in again.values.items():
        seen = np.isfinite(season.values[name][rows]) & np.isfinite(season.values[name][others])
        assert np.array_equal(np.isfinite(values), seen)
        assert np.array_equal(values[seen], season.values[name][rows][seen])
    assert np.array_equal(again.values["q00"][1], season.values["q00"][7], equal_nan=True)
    alone, both = features(season), features(season, again)
    assert np.array_equal(both.matrix[:50], alone.matrix)
    assert np.array_equal(both.matrix[51], alone.matrix[7])


def test_each_dealing_deals_the_same_blocks_to_other_folds():
    season = made_up.season(300, 3)
    first, second = (folds_of(season.x, season.y, Settings(), dealing) for dealing in (0, 1))
    assert first.side_m == second.side_m
    assert first.blocks == second.blocks
    assert not np.array_equal(first.fold, second.fold)
    assert np.array_equal(second.fold, folds_of(season.x, season.y, Settings(), 1).fold)
