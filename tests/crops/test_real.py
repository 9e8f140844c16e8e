"""The promise and the ranking on real French parcels, in whose declarations some are wrong that nobody planted."""

import numpy as np
import pytest

from benchmarks import crops as benchmark
from cbm_lake.crops import Settings
from cbm_lake.crops.verdicts import verdicts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def season(realdata):
    """Crops of at least ten parcels."""
    season = benchmark.read(str(realdata / "lpis" / "2023_FRA_LPIS_dekads.geoparquet"))
    names, crop, count = np.unique(season.codes.astype(str), return_inverse=True, return_counts=True)
    season = season.at(np.flatnonzero(count[crop] >= 10))
    assert len(names) == 47
    return season.at(np.argsort(np.array(season.pids.to_pylist(), object)))


@pytest.fixture(scope="module")
def draws(season):
    """Evidence of declarations of which one in twenty is planted, and which; three draws and splits by blocks."""
    return [benchmark.planted_evidence(season, draw) for draw in range(3)]


def test_more_than_half_of_the_planted_declarations_are_in_the_first_twentieth_of_the_list(draws):
    shares = []
    for evidence, planted in draws:
        score = evidence.scores[np.arange(len(planted)), evidence.crop]
        shares.append(benchmark.found_in(score, planted))
    assert np.mean(shares, axis=0)[0] > 0.5
    assert np.mean(shares, axis=0)[1] > 0.6


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
def test_no_more_correct_declarations_are_accused_and_no_more_wrong_ones_confirmed_than_promised(draws, alpha):
    accused, correct, confirmed, wrong = 0, 0, 0, 0
    for evidence, planted in draws:
        verdict, _ = verdicts(evidence, Settings(alpha=alpha, promise="parcels"))
        accused, correct = accused + (verdict == "disagrees")[~planted].sum(), correct + (~planted).sum()
        confirmed, wrong = confirmed + (verdict == "agrees")[planted].sum(), wrong + planted.sum()
    assert accused / correct <= alpha + 1.96 * np.sqrt(alpha * (1 - alpha) / correct)
    assert confirmed / wrong <= alpha + 1.96 * np.sqrt(alpha * (1 - alpha) / wrong) + 1 / wrong


def test_what_was_read_is_what_the_file_says(season):
    assert set(season.values) == {
        *("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12"),
        *("VV", "VH", "PRECIP", "TMEAN"),
    }
    assert len(season.days) == 51
    assert -40 < np.nanmin(season.values["VH"]) < np.nanmax(season.values["VV"]) < 10
