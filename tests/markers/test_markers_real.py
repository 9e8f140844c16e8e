"""Mowing on real meadows, where their series lie beside the checkout."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks are no part of what is installed

from benchmarks import markers_truth

pytestmark = pytest.mark.thorough


def test_mowing_of_swiss_meadows_is_found_as_well_as_published_algorithms_do(realdata, tmp_path):
    files = realdata / "timeseries" / "gmd_mowing" / "CH_poly"
    if not files.is_dir():
        pytest.skip("no Swiss meadows among the real data")
    lake, happened, half = markers_truth.a_swiss_lake(tmp_path, files)
    found = markers_truth.swiss_mowing(lake, None)
    for name in "AB":
        some = [markers_truth.of_half(events, half, name) for events in (found, happened)]
        score, precision, recall, off = markers_truth.f1(*some, 12)
        assert score > 0.65
        assert min(precision, recall) > 0.6
        assert off < 5


def test_an_event_counts_once_and_the_nearest_first():
    import pandas as pd

    found = pd.DataFrame({"pid": ["a", "a", "b"], "date_main": ["2024-05-01", "2024-05-04", "2024-05-01"]})
    happened = pd.DataFrame({"pid": ["a", "c"], "date": ["2024-05-03", "2024-05-01"]})
    assert list(markers_truth.matched(found, happened, 12)) == [1]
    score, precision, recall, off = markers_truth.f1(found, happened, 12)
    assert (precision, recall, off) == (1 / 3, 1 / 2, 1)
    assert score == pytest.approx(0.4)
