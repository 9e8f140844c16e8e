"""Verdicts on a sample: kept, counted, exported; acceptance numbers against the definition by scipy."""

import csv
import threading
from datetime import UTC, datetime
from math import ceil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom
from typer.testing import CliRunner

from cbm_lake import qa
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import open_lake

NAMES = ("gsa_par_id", "gsa_hol_id", "ua_grp_id", "covered", "ranking")
PARCELS = [("01", "a", "A", 0, 1), ("01", "a", "B", 0, 1), ("02", "b", "A", 1, 2), ("02", "c", "B", 1, 3)]
"""Parcel 01 of holding a in both groups; 02 is a parcel of holding b in A and of holding c in B."""


@pytest.fixture
def drawn(workspace):
    rows = pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in PARCELS])
    return qa.sample(rows, {"A": 2, "B": 2}, extraction_id="s_1")


def verdicts(**options):
    """The latest verdicts by bucket and holding."""
    rows = qa.verdicts("s_1", **options).to_pylist()
    return {(row["bucket_id"], row["gsa_hol_id"]): row["verdict"] for row in rows}


def test_a_verdict_holds_for_all_buckets_of_a_parcel_and_says_who_when_and_as_of(drawn):
    before = datetime.now(UTC)
    qa.inspect("s_1", "01", "conforming", "seen on the chip", who="Ada")
    (row,) = qa.inspections("s_1").to_pylist()
    assert (row["pid"], row["note"], row["inspector"]) == ("01", "seen on the chip", "Ada")
    assert before <= row["inspected"] == row["as_of"] <= datetime.now(UTC)
    assert verdicts() == {("A", "a"): "conforming", ("B", "a"): "conforming", ("A", "b"): None, ("B", "c"): None}


def test_the_record_of_the_lake_as_it_was_is_written_today(drawn):
    then = open_lake(as_of="2024-01-01")
    qa.inspect("s_1", "01", "conforming", lake=then)
    (row,) = qa.inspections("s_1").to_pylist()
    assert row["as_of"] == datetime(2024, 1, 1, tzinfo=UTC)


def test_a_verdict_on_a_bucket_or_holding_that_was_not_drawn_says_which_were(drawn):
    with pytest.raises(NotFoundError, match="was not drawn for that holding and bucket, but for holding a, bucket A"):
        qa.inspect("s_1", "01", "conforming", bucket="Z")
    for arguments in (("s_1", "01", "conforming", 5), (None, "01", "conforming")):
        with pytest.raises(InvalidInputError, match=r"inspect: .* is not right"):
            qa.inspect(*arguments)
    with pytest.raises(InvalidInputError, match="acceptance_number: lot='x' is not right"):
        qa.acceptance_number("x", 1, 2)


def test_the_latest_verdict_counts_and_earlier_ones_stay(drawn):
    qa.inspect("s_1", "01", "inconclusive")
    qa.inspect("s_1", "01", "nonconforming", bucket="B")
    assert verdicts()["A", "a"] == "inconclusive"
    assert verdicts()["B", "a"] == "nonconforming"
    qa.inspect("s_1", "01", "conforming")
    assert verdicts()["B", "a"] == "conforming"
    assert qa.inspections("s_1")["verdict"].to_pylist() == ["inconclusive", "nonconforming", "conforming"]


def test_a_verdict_can_be_for_one_of_the_holdings_that_share_an_identifier(drawn):
    qa.inspect("s_1", "02", "nonconforming", holding="c")
    assert verdicts() == {("A", "a"): None, ("B", "a"): None, ("A", "b"): None, ("B", "c"): "nonconforming"}
    qa.inspect("s_1", "02", "conforming")
    assert verdicts()["A", "b"] == verdicts()["B", "c"] == "conforming"


def test_who_is_the_user_of_the_settings(drawn, workspace):
    workspace.configure("set", user="Grace")
    qa.inspect("s_1", "01", "conforming")
    assert qa.inspections("s_1")["inspector"].to_pylist() == ["Grace"]


def test_what_was_seen_in_an_earlier_snapshot_says_so(drawn):
    qa.inspect("s_1", "01", "conforming")
    moment = datetime(2024, 6, 30, tzinfo=UTC)
    qa.inspect("s_1", "02", "conforming", lake=open_lake(as_of=moment))
    assert qa.inspections("s_1")["as_of"].to_pylist()[1] == moment
    assert qa.inspections("s_1", lake=open_lake(as_of=moment)).num_rows == 0


def test_samples_have_their_own_records(drawn):
    qa.inspect("s_1", "01", "conforming")
    assert qa.inspections("s_2").num_rows == 0
    assert qa.inspections("s_2").schema == qa.inspections("s_1").schema


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (("s_2", "01"), {}),
        (("s", "01"), {}),
        (("s_1", "1"), {}),
        (("s_1", "01"), {"holding": "b"}),
        (("s_1", "02"), {"bucket": "C"}),
    ],
)
def test_a_verdict_on_what_was_not_drawn_is_refused(words, options, drawn):
    with pytest.raises(NotFoundError):
        qa.inspect(*words, "conforming", **options)
    assert qa.inspections("s_1").num_rows == 0


def test_an_unknown_verdict_is_refused(drawn):
    with pytest.raises(InvalidInputError, match="give conforming, nonconforming, inconclusive"):
        qa.inspect("s_1", "01", "good")


def test_inspectors_can_work_at_once(drawn):
    workers = [
        threading.Thread(target=qa.inspect, args=("s_1", pid, "conforming"), kwargs={"who": f"{pid}{number}"})
        for pid in ("01", "02")
        for number in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(qa.inspections("s_1")["inspector"].to_pylist()) == ["010", "011", "012", "020", "021", "022"]


def test_counts_per_group_and_what_follows_from_the_limiting_quality(drawn):
    qa.inspect("s_1", "01", "conforming")
    qa.inspect("s_1", "02", "nonconforming", holding="c")
    assert qa.inspection_counts("s_1").to_pylist() == [
        {
            "bucket_id": "A",
            "total": 2,
            "selected": 2,
            "conforming": 1,
            "nonconforming": 0,
            "inconclusive": 0,
            "open": 1,
        },
        {
            "bucket_id": "B",
            "total": 2,
            "selected": 2,
            "conforming": 1,
            "nonconforming": 1,
            "inconclusive": 0,
            "open": 0,
        },
    ]
    judged = qa.inspection_counts("s_1", limiting_quality=5)
    assert judged["acceptance_number"].to_pylist() == [0, 0]
    assert judged["result"].to_pylist() == ["open", "not accepted"]
    qa.inspect("s_1", "02", "conforming")
    assert qa.inspection_counts("s_1", limiting_quality=5)["result"].to_pylist() == ["accepted", "accepted"]


def test_verdicts_are_exported(drawn, tmp_path):
    qa.inspect("s_1", "01", "conforming", 'with "quotes", and a comma')
    assert qa.export_verdicts("s_1", tmp_path / "v.csv") == 4
    with (tmp_path / "v.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["note"] for row in rows] == ['with "quotes", and a comma', "", 'with "quotes", and a comma', ""]
    assert qa.export_verdicts("s_1", tmp_path / "v.parquet") == 4
    assert pq.read_table(tmp_path / "v.parquet")["gsa_par_id"].to_pylist() == ["01", "02", "01", "02"]
    with pytest.raises(InvalidInputError):
        qa.export_verdicts("s_1", tmp_path / "v.xls")


def test_the_newest_sample_of_an_id_is_inspected(drawn, workspace):
    old = drawn.files["sample_parquet"]
    old.rename(old.with_name("s_1_extracted_sample_2020-01-01_000000.parquet"))
    qa.sample(
        pa.Table.from_pylist([dict(zip(NAMES, ("9", "z", "A", 0, 1), strict=True))]),
        extraction_id="s_1",
    )
    assert qa.verdicts("s_1")["gsa_par_id"].to_pylist() == ["9"]


def test_commands_record_show_and_export(drawn, tmp_path):
    from cbm_lake.cli import qa as commands

    def run(*words):
        done = CliRunner().invoke(commands.app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    run("inspect", "s_1", "01", "nonconforming", "--note", "ploughed", "--who", "Ada")
    assert '"inspector": "Ada"' in run("verdicts", "s_1", "--format", "json")
    assert "4 rows written" in run("verdicts", "s_1", "--export", tmp_path / "v.csv")
    assert '"result": "not accepted"' in run("counts", "s_1", "--limiting-quality", "5", "--format", "json")


# -- acceptance numbers -------------------------------------------------------------------------------------------


@given(
    st.integers(1, 3000), st.data(), st.sampled_from([0.5, 2, 3.15, 5, 12.5, 100]), st.sampled_from([0.05, 0.1, 0.13])
)
@settings(max_examples=300, deadline=None)
def test_the_acceptance_number_is_the_greatest_of_at_most_the_risk(lot, data, quality, risk):
    sampled = data.draw(st.integers(0, lot))
    number = qa.acceptance_number(lot, sampled, quality, risk)
    chance = hypergeom(lot, ceil(round(lot * quality, 6) / 100), sampled)
    if number is not None:
        assert chance.cdf(number) <= risk * (1 + 1e-9)
    if number is None or number < sampled:
        assert chance.cdf(-1 if number is None else number) <= chance.cdf(0 if number is None else number + 1)
        assert chance.cdf(0 if number is None else number + 1) > risk * (1 - 1e-9)


def test_acceptance_numbers_of_usual_plans():
    assert qa.acceptance_number(10_000, 200, 2) == 1
    assert qa.acceptance_number(50_000, 500, 2) == 5
    assert qa.acceptance_number(300_000, 800, 2) == 10
    assert qa.acceptance_number(600, 80, 5) == 1
    assert qa.acceptance_number(1000, 20, 5) is None
    assert qa.acceptance_number(40, 40, 10) == 3


@pytest.mark.parametrize(
    "arguments", [(0, 0, 5), (10, 11, 5), (10, -1, 5), (10, 5, 0), (10, 5, 101), (10, 5, 5, 0), (10, 5, 5, 1)]
)
def test_plans_that_cannot_be_are_refused(arguments):
    with pytest.raises(InvalidInputError):
        qa.acceptance_number(*arguments)
