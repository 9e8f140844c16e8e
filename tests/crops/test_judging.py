"""What is promised of verdicts, on made-up seasons whose truth is known; and what is bad about some seasons."""

import sys
from dataclasses import replace

import made_up
import numpy as np
import pyarrow as pa
import pytest

from cbm_lake.crops import Settings, clearing, judge, judge_by_day
from cbm_lake.crops.settings import settings_of
from cbm_lake.errors import ConfigError, InvalidInputError


@pytest.fixture(scope="module")
def planted():
    """A season of which one declaration in twenty is wrong, and which."""
    season = made_up.season(900, 5, noise=0.25)
    codes, wrong = made_up.plant(season.codes, 0.05, 1)
    return replace(season, codes=codes), wrong


@pytest.fixture(scope="module")
def judged(planted):
    return judge(planted[0], Settings())


def test_of_the_accusations_no_more_than_promised_are_wrong_and_most_wrong_declarations_are_accused(planted, judged):
    accused = judged.verdict == "disagrees"
    assert accused.sum() > 25
    assert (accused & ~planted[1]).sum() / accused.sum() <= 0.1  # promised: 0.05 of about 45, plus chance
    assert accused[planted[1]].mean() > 0.6


def test_the_first_of_the_ranking_are_the_wrong_declarations(planted, judged):
    first = (judged.rank > 0) & (judged.rank <= planted[1].sum())
    assert planted[1][first].mean() > 0.8
    assert sorted(judged.rank) == list(range(1, len(planted[1]) + 1))


def test_wrong_declarations_are_hardly_ever_confirmed(planted, judged):
    assert (judged.verdict[planted[1]] == "agrees").mean() <= 0.1
    assert (judged.verdict[~planted[1]] == "agrees").mean() > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
def test_of_correct_declarations_no_more_than_promised_are_accused(planted, alpha):
    one = judge(planted[0], Settings(alpha=alpha, promise="parcels"))
    share = (one.verdict == "disagrees")[~planted[1]].mean()
    assert share <= alpha + 1.96 * np.sqrt(alpha * (1 - alpha) / (~planted[1]).sum())


@pytest.mark.slow
def test_p_values_and_verdicts_fit_each_other(planted):
    one = judge(planted[0], Settings(alpha=0.1, promise="parcels"))
    assert np.array_equal(one.verdict == "disagrees", one.p_value <= 0.1)
    declared_is_likely = np.array([group in likely for group, likely in zip(one.groups, one.likely, strict=True)])
    assert declared_is_likely[one.p_value > 0.1].all()


def test_figures_add_up(judged):
    figures = judged.figures
    assert sum(figures["verdicts"].values()) == figures["parcels"] == 900
    assert sum(map(sum, figures["confusion"])) == figures["judged"]
    assert sum(cell["parcels"] for cell in figures["cells"]) == figures["judged"]
    assert sum(one["parcels"] for one in figures["reliability"]) == figures["judged"]
    assert figures["undecided"] == pytest.approx((judged.verdict == "cannot say").mean())
    trace = sum(row[number] for number, row in enumerate(figures["confusion"]))
    assert figures["accuracy_of_groups"] == pytest.approx(trace / figures["judged"], abs=1e-5)


@pytest.mark.slow
def test_the_order_of_parcels_and_the_number_of_threads_change_nothing(planted, judged):
    order = np.random.default_rng(3).permutation(len(planted[1]))
    other = judge(planted[0].at(order), Settings(threads=1))
    assert np.array_equal(other.p_value, judged.p_value[order], equal_nan=True)
    assert np.array_equal(other.rank, judged.rank[order])
    assert other.probability == [judged.probability[row] for row in order]
    assert list(other.reason) == list(judged.reason[order])
    assert other.figures == judged.figures


@pytest.mark.slow
def test_another_seed_deals_other_folds(planted, judged):
    other = judge(planted[0], Settings(seed=7))
    assert not np.array_equal(other.fold, judged.fold)


def test_a_season_without_parcels_has_no_verdicts():
    empty = made_up.season(10, 2).at(np.zeros(0, np.int64))
    assert judge(empty).figures["warnings"] == ["no parcel is judged: there are no parcels"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: replace(one, codes=np.full(200, "c0", object)), "only one crop is declared"),
        (lambda one: replace(one, codes=np.full(200, None, object)), "no crop is declared"),
        (lambda one: replace(one, x=one.x * 0, y=one.y * 0), "all parcels are neighbours"),
        (lambda one: replace(one, values={"q": np.full((200, 36), np.nan)}), "too little is seen of it"),
        (lambda one: replace(one, values={}), "too little is seen of it"),
        (lambda one: replace(one, values={"q": np.full((200, 36), np.inf)}), "too little is seen of it"),
        (lambda one: replace(one, values={"q": np.ones((200, 36))}), "all parcels look the same"),
        (lambda one: replace(one, codes=np.random.default_rng(0).permutation(one.codes)), "cannot be told apart"),
        (lambda one: replace(one, codes=np.array([f"c{n}" for n in range(200)], object)), ""),
        (lambda one: one.at(np.arange(1)), "only one crop is declared"),
        (lambda one: one.at(np.arange(8)), ""),
        (lambda one: one.until(one.days[0] - 1), "too little is seen of it"),
    ],
)
def test_where_nothing_can_be_known_nothing_is_said_but_why(change, reason):
    one = judge(change(made_up.season(200, 3)))
    assert set(one.verdict) == {"cannot say"}
    assert all(reason in each for each in one.reason)
    assert all(one.reason)
    assert one.figures["warnings"]
    assert one.figures["undecided"] == 1


@pytest.mark.slow
def test_a_parcel_of_which_nothing_is_seen_gets_no_verdict_and_the_others_do():
    season = made_up.season(400, 3)
    values = {name: each.copy() for name, each in season.values.items()}
    for each in values.values():
        each[5] = np.nan
        each[6] = np.inf
    codes = season.codes.copy()
    codes[7] = None
    one = judge(replace(season, values=values, codes=codes))
    assert list(one.reason[5:8]) == ["too little is seen of it", "too little is seen of it", "no crop is declared"]
    assert list(one.rank[5:8]) == [0, 0, 0]
    assert np.isnan(one.p_value[5:8]).all()
    assert one.likely[5] == []
    assert one.likely[7]  # what grows there can be said all the same
    assert (one.verdict[8:] == "agrees").mean() > 0.5


@pytest.mark.slow
def test_crops_of_three_parcels_are_not_judged_by_themselves():
    season = made_up.season(400, 3)
    codes = season.codes.copy()
    codes[:3] = "rare"
    one = judge(replace(season, codes=codes))
    assert list(one.groups[:3]) == ["rare crops"] * 3
    assert set(one.verdict[:3]) == {"cannot say"}
    assert one.reason[0] == "too few parcels of rare crops for 5 %"
    assert any("too few parcels for 5 %: rare crops" in warning for warning in one.figures["warnings"])


@pytest.mark.slow
def test_a_crop_that_has_two_codes_is_one_group_and_accuses_nobody_for_it():
    season = made_up.season(600, 3)
    codes = season.codes.copy()
    renamed = (np.arange(600) % 2 == 0) & (codes == "c0")
    codes[renamed] = "2023:c0"
    one = judge(replace(season, codes=codes))
    assert one.group_of["c0"] == one.group_of["2023:c0"] == "2023:c0 + c0"
    assert (one.verdict == "disagrees").mean() < 0.01


def test_too_few_parcels_for_a_promise_are_named():
    one = judge(made_up.season(300, 3), Settings(alpha=0.002))
    assert set(one.verdict) == {"cannot say"}
    assert one.reason[0].endswith("for 0.2 %")


@pytest.mark.parametrize("alpha", [0, 1, -0.1, float("nan"), "much", None])
def test_an_error_that_cannot_be_promised_is_refused(alpha):
    with pytest.raises(InvalidInputError, match="promised error"):
        settings_of(alpha=alpha)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda one: replace(one, pids=pa.array(["p"] * 50)), "stand twice.*: p"),
        (lambda one: replace(one, pids=pa.array([None, *map(str, range(49))])), "no identifier"),
        (lambda one: replace(one, x=one.x[:-1]), r"x is \(49,\)"),
        (lambda one: replace(one, values={"q": np.zeros((50, 3))}), r"q is \(50, 3\)"),
        (lambda one: replace(one, days=one.days[::-1]), "not ascending"),
        (lambda one: replace(one, y=np.where(np.arange(50) == 4, np.nan, one.y)), "1 parcel without location: p000004"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, text):
    with pytest.raises(InvalidInputError, match=text):
        judge(change(made_up.season(50, 2)))


@pytest.mark.slow
def test_more_is_known_later_in_the_season_and_verdicts_settle():
    season = made_up.season(400, 4, noise=0.2)
    days = [int(season.days[step]) for step in (5, 17, 35)]
    by_day = list(judge_by_day(season, None, days[::-1]))
    assert [day for day, _ in by_day] == days
    assert by_day[0][1].figures["accuracy"] < by_day[-1][1].figures["accuracy"]
    assert all(np.array_equal(one.fold, by_day[0][1].fold) for _, one in by_day)
    assert {tuple(sorted(one.group_of.items())) for _, one in by_day} == {tuple(sorted(by_day[0][1].group_of.items()))}
    first = clearing._since(by_day)
    final = by_day[-1][1].verdict
    assert ((first < 0) == (final == "cannot say")).all()
    for row in np.flatnonzero(first >= 0):
        later = [one.verdict[row] for day, one in by_day if day >= first[row]]
        assert set(later) == {final[row]}
        before = [one.verdict[row] for day, one in by_day if day < first[row]]
        assert not before or before[-1] != final[row]


def test_without_scikit_learn_one_line_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ConfigError, match=r"the crop check needs package sklearn: pip install 'cbm-lake\[crops\]'"):
        judge(made_up.season(20, 2))
