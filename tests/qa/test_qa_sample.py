"""The sample of the quality assessment against a literal telling of its rules, and against answers known by hand."""

import csv
import json
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qa_rules import Literal, Row
from typer.testing import CliRunner

from cbm_lake import qa
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.qa import parcel_list
from cbm_lake.qa.buckets import Ranked, select
from cbm_lake.qa.options import request
from cbm_lake.qa.targets import RULES, raised

COMBINATIONS = list(product((False, True), (0, 1, 2), (0, 1)))


def numbers(values):
    names = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([names[value] for value in values], np.int32)


def compiled(rows, targets, three_percent, covered_priority, noncontributing):
    """What `select` says, as rows in the order added."""
    table = list(zip(*rows, strict=True))
    parcels, holdings, groups = map(numbers, table[:3])
    covered = np.array(table[3]) == 1
    order = np.argsort(np.array(table[4]), kind="stable")
    order = order[covered[order]] if covered_priority == 2 else order
    ranked = Ranked(parcels[order], holdings[order], groups[order], covered[order])
    limit = int(len(set(table[1])) * 0.03) if three_percent else None
    wanted = [targets[group] for group in dict.fromkeys(table[2])]
    chosen = select(ranked, wanted, limit=limit, covered_first=covered_priority == 1, retain=noncontributing == 1)
    return [rows[order[row]] for row in chosen]


@st.composite
def lists(draw):
    """Few parcels in few groups and holdings, identifiers that holdings share, targets of 0 and above what there is."""
    count = draw(st.integers(1, 14))
    ranks = draw(st.permutations(range(1, count + 1)))
    rows = {}
    for ranking in ranks:
        parcel, holding = draw(st.integers(0, 12)), draw(st.integers(0, 4))
        covered = draw(st.integers(0, 1))
        for group in draw(st.sets(st.sampled_from("ABCD"), min_size=1)):
            rows.setdefault((parcel, holding, group), Row(f"0{parcel}", f"h{holding}", group, covered, ranking))
    return draw(st.permutations(list(rows.values()))), {group: draw(st.integers(0, 5)) for group in "ABCD"}


@pytest.mark.thorough
@given(lists())
@settings(max_examples=250, deadline=None)
def test_every_combination_of_options_gives_the_sample_of_the_literal_rules_in_its_order(drawn):
    rows, targets = drawn
    for options in COMBINATIONS:
        assert compiled(rows, targets, *options) == Literal(rows, targets, *options).run(), options


def a_list(seed):
    """A list with rare groups, of so many holdings that 3 % of them are one or more."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    holdings, parcels, groups = rng.choice([35, 70, 110]), rng.randint(40, 160), rng.randint(2, 7)
    shares = [rng.random() ** 3 for _ in range(groups)]
    rows = {}
    for ranking in rng.sample(range(1, parcels + 1), parcels):
        parcel = rng.randrange(parcels) if rng.random() < 0.2 else parcels + ranking
        holding, covered = f"h{int(holdings * rng.random() ** 1.5)}", int(rng.random() < 0.4)
        drawn = [group for group in range(groups) if rng.random() < shares[group]] or [rng.randrange(groups)]
        for group in drawn:
            rows.setdefault((parcel, holding, group), Row(str(parcel), holding, f"G{group}", covered, ranking))
    rows = list(rows.values())
    counts = Counter(row.ua_grp_id for row in rows)
    return rows, {
        group: rng.choice([round(count * 0.05) or 1, rng.randint(0, count + 2)]) for group, count in counts.items()
    }


@pytest.mark.parametrize("options", COMBINATIONS)
def test_lists_with_many_holdings_and_rare_groups_give_the_sample_of_the_literal_rules(options):
    for seed in range(25):
        rows, targets = a_list(seed)
        assert compiled(rows, targets, *options) == Literal(rows, targets, *options).run(), seed


# -- answers known by hand ----------------------------------------------------------------------------------------


def table(*rows):
    """Rows written as 'parcel holding groups covered'; their order is their rank."""
    found = []
    for ranking, row in enumerate(rows, 1):
        parcel, holding, groups, covered = row.split()
        found += [Row(parcel, holding, group, int(covered), ranking) for group in groups.split(",")]
    return pa.Table.from_pylist([row._asdict() for row in found])


@pytest.fixture
def draw(tmp_path):
    """Draws a sample of a table and returns bucket -> parcels in the order added."""

    def drawn(rows, targets, **options):
        sample = qa.sample(rows, targets, extraction_id="x", folder=tmp_path, **options)
        buckets = {}
        for row in sample.rows.to_pylist():
            buckets.setdefault(row["bucket_id"], []).append(row["gsa_par_id"])
        return buckets

    return drawn


def test_the_first_parcel_of_a_holding_calls_in_three_a_bucket_and_later_ones_come_alone(draw):
    rows = table("1 a A 0", "2 a A 0", "3 a A 0", "4 a A 0", "5 b A 0", "6 a A 0")
    assert draw(rows, {"A": 4}) == {"A": ["1", "2", "3", "4"]}
    rows = table("1 a A 0", "5 b A 0", "2 a A 0", "3 a A 0", "4 a A 0", "6 a A 0")
    assert draw(rows, {"A": 9}) == {"A": ["1", "2", "3", "5", "4", "6"]}


def test_a_parcel_goes_to_all_its_buckets_in_one_step(draw):
    rows = table("1 a A,B 0", "2 b B 0", "3 a B 0")
    assert draw(rows, {"A": 1, "B": 2}) == {"A": ["1"], "B": ["1", "3"]}


def test_an_identifier_that_two_holdings_share_takes_both_along(draw):
    rows = table("1 a A 0", "2 b A 0", "2 a A 0", "3 c A 0", "1 c A 0")
    assert draw(rows, {"A": 4}) == {"A": ["1", "2", "2", "3"]}


def test_a_holding_is_called_in_by_its_best_contributing_parcel_or_by_its_best_one(draw):
    rows = table("1 a A 0", "2 b A 0", "3 c B 0", "4 b B 0")
    assert draw(rows, {"A": 1, "B": 1}, noncontributing=0) == {"A": ["1"], "B": ["3"]}
    assert draw(rows, {"A": 1, "B": 1}, noncontributing=1) == {"A": ["1"], "B": ["4"]}


def test_with_few_holdings_the_3_percent_rule_keeps_the_first_holding_and_one_more_for_each_empty_bucket(draw):
    rows = table("1 a A 0", "2 b A 0", "3 b B 0", "4 c B 0", "5 b B 0", "6 b B 0", "7 b B 0", "8 a A 0")
    assert draw(rows, {"A": 3, "B": 4}, three_percent=True) == {"A": ["1", "8"], "B": ["3", "5", "6", "7"]}
    assert draw(rows, {"A": 3, "B": 2}, three_percent=True) == {"A": ["1", "8"], "B": ["3", "5"]}
    assert draw(rows, {"A": 3, "B": 0}, three_percent=True) == {"A": ["1", "8"]}


def test_covered_parcels_come_first_then_others_of_their_holdings_then_others(draw):
    rows = table("1 a A 0", "2 b A 0", "3 b A 1", "4 c A 1", "5 c A 0")
    assert draw(rows, {"A": 5}, covered_priority=1) == {"A": ["3", "4", "2", "5", "1"]}
    assert draw(rows, {"A": 5}, covered_priority=2) == {"A": ["3", "4"]}
    assert draw(rows, {"A": 3}, covered_priority=1) == {"A": ["3", "4", "2"]}


def test_three_of_a_holding_counts_covered_ones_that_came_before(draw):
    rows = table("1 a A 1", "2 a A 1", "3 a A 1", "4 a B 0", "5 a A 0", "6 a A 0", "7 c A 1")
    assert draw(rows, {"A": 5, "B": 1}, covered_priority=1) == {"A": ["1", "2", "3", "7", "5"], "B": ["4"]}


def test_a_target_of_zero_is_full_from_the_start_and_one_above_the_supply_stays_unfilled(draw):
    rows = table("1 a A,B 0", "2 b B 0")
    assert draw(rows, {"A": 0, "B": 9}) == {"B": ["1", "2"]}
    assert draw(rows, {"A": 0, "B": 0}) == {}


# -- targets ------------------------------------------------------------------------------------------------------


def test_default_targets_round_halves_to_even_and_are_one_to_three_hundred():
    counts = [1, 10, 29, 30, 50, 70, 110, 5990, 6000, 6001, 90000]
    assert [RULES["simple"](rows) for rows in counts] == [1, 1, 1, 2, 2, 4, 6, 300, 300, 300, 300]


def test_the_other_rules_for_targets_are_those_of_the_methodology():
    assert [RULES["buffer"](rows) for rows in (1, 50, 100, 6001)] == [1, 2, 6, 360]
    assert [RULES["minimal"](rows) for rows in (1, 100, 1200, 1201, 9999)] == [1, 5, 60, 60, 60]
    counts = (1, 50, 51, 200, 201, 300, 301, 400, 401, 500, 501, 700, 701, 800, 801, 1200, 1201)
    steps = [1, 50, 50, 50, 55, 55, 110, 110, 115, 115, 170, 170, 175, 175, 230, 230, 300]
    assert [RULES["ulm"](rows) for rows in counts] == steps
    assert [RULES["ulm_minimal"](rows) for rows in counts] == [min(step, 60) for step in steps]


def test_targets_can_be_raised_by_some_percent_and_are_cut_to_whole_numbers():
    assert [raised(target, 10) for target in (0, 5, 10, 300)] == [0, 5, 11, 330]
    assert raised(10, -100) == 0


# -- input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("holdings", "selected"), [(67, 2), (100, 3), (134, 4)])
def test_three_percent_are_so_many_holdings(tmp_path, holdings, selected):
    rows = table(*(f"{number:03d} h{number} A 1" for number in range(holdings)))
    drawn = qa.sample(rows, {"A": holdings}, three_percent=True, extraction_id="x", folder=tmp_path)
    assert len(set(drawn.parcels["gsa_hol_id"].to_pylist())) == drawn.totals.selected_holdings == selected


def test_totals_count_parcels_and_not_rows(tmp_path):
    totals = qa.sample(GOOD, extraction_id="x", folder=tmp_path).totals
    assert (totals.parcels, totals.holdings) == (3, 2)


@pytest.mark.parametrize("twice", ["gsa_par_id", "ranking", "covered"])
def test_a_column_that_stands_twice_is_told(tmp_path, twice):
    names = ["gsa_par_id", "gsa_hol_id", "ua_grp_id", "covered", "ranking", twice]
    (tmp_path / "list.csv").write_text(",".join(names) + "\n1,a,A,0,1,1\n")
    with pytest.raises(InvalidInputError, match=f"column '{twice}' stands there twice"):
        qa.sample(tmp_path / "list.csv", folder=tmp_path)


def test_a_parcel_list_given_for_the_targets_is_told_soon(tmp_path):
    rows = table(*(f"{number:06d} h{number} G{number % 7} 1" for number in range(30_000)))
    with pytest.raises(InvalidInputError, match="column 'target' is missing"):
        qa.sample(rows, rows, folder=tmp_path)


def test_two_samples_of_one_name_at_once_both_stay(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: qa.sample(GOOD, extraction_id="x", folder=tmp_path), range(4)))
    assert len({sample.files["sample"] for sample in drawn}) == 4
    assert len(list(tmp_path.iterdir())) == sum(len(sample.files) for sample in drawn)


@pytest.mark.parametrize("source", [None, 5, ["a"]])
def test_what_is_no_list_is_refused(source):
    with pytest.raises(InvalidInputError, match="give a path, an Arrow table or a DataFrame"):
        qa.sample(source)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_list_with_any_delimiter_is_read_alike(tmp_path, delimiter, encoding):
    lines = ["gsa_par_id,gsa_hol_id,ua_grp_id,covered,ranking", "0012,é,A,0,1", "12,b,A,1,2"]
    (tmp_path / "list.csv").write_text("\n".join(lines).replace(",", delimiter), encoding)
    rows = parcel_list.read_parcels(tmp_path / "list.csv")
    assert rows["gsa_par_id"].to_pylist() == ["0012", "12"]
    assert rows["gsa_hol_id"].to_pylist() == ["é", "b"]
    assert rows["ranking"].to_pylist() == [1, 2]


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(SourceError, match="is a folder; give the path of a file"):
        qa.sample(tmp_path)


GOOD = table("001 a A 0", "002 b A,B 1", "003 a B 1")


def test_files_and_tables_give_the_same_sample_and_identifiers_keep_their_zeros(tmp_path):
    pq.write_table(GOOD, tmp_path / "list.parquet")
    text = GOOD.to_pandas().to_csv(index=False)
    (tmp_path / "list.csv").write_text("\N{BOM}" + text, "utf-8")
    sources = [tmp_path / "list.csv", str(tmp_path / "list.parquet"), GOOD, GOOD.to_pandas()]
    drawn = [qa.sample(source, {"A": 2, "B": 2}, extraction_id="x", folder=tmp_path).rows for source in sources]
    assert all(rows.equals(drawn[0]) for rows in drawn)
    assert drawn[0]["gsa_par_id"].to_pylist() == ["001", "002", "003", "002"]


def test_group_na_is_a_group_like_any_other(tmp_path):
    (tmp_path / "list.csv").write_text("gsa_par_id,gsa_hol_id,ua_grp_id,covered,ranking\n1,NA,NA,0,1\n")
    rows = qa.sample(tmp_path / "list.csv", extraction_id="x", folder=tmp_path).rows
    assert rows.to_pylist()[0]["bucket_id"] == "NA"


def test_all_that_is_wrong_with_a_list_is_said_at_once(tmp_path):
    (tmp_path / "list.csv").write_text("gsa_par_id,ua_grp_id,covered,ranking\n1,A,2,x\n,A,0,2\n3,A,,3\n")
    with pytest.raises(InvalidInputError) as caught:
        qa.sample(tmp_path / "list.csv", folder=tmp_path)
    told = str(caught.value)
    assert "\n" not in told
    for part in (
        "column 'gsa_hol_id' is missing",
        "column 'gsa_par_id' has empty values (row 2)",
        "column 'covered' has empty values (row 3)",
        "column 'covered' has other values than 0 and 1 (row 1)",
        "column 'ranking' has other values than whole numbers (row 1, the first is 'x')",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ranking": [1.5, 2.0, 2.0, 3.0]}, "'ranking' is double, not whole numbers"),
        ({"gsa_par_id": [1, 2, 2, 3]}, "'gsa_par_id' is int64, not text"),
        ({"gsa_hol_id": ["a", None, "b", ""]}, "'gsa_hol_id' has empty values (rows 2, 4)"),
        ({"covered": [0, 1, -1, 7]}, "'covered' has other values than 0 and 1 (rows 3, 4)"),
        ({"ua_grp_id": ["A", "A", "A", "B"]}, "1 rows repeat an earlier one"),
    ],
)
def test_wrong_columns_are_named(change, told, tmp_path):
    frame = GOOD.to_pandas().assign(**change)
    with pytest.raises(InvalidInputError, match=re.escape(told)):
        qa.sample(frame, folder=tmp_path)


def test_repeated_rows_are_refused_with_their_numbers(tmp_path):
    with pytest.raises(InvalidInputError, match=r"2 rows repeat an earlier one: .*\(rows 5, 6\)"):
        qa.sample(pa.concat_tables([GOOD, GOOD.slice(1, 2)]), folder=tmp_path)


def test_an_empty_list_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="it holds no rows"):
        qa.sample(GOOD.slice(0, 0), folder=tmp_path)
    with pytest.raises(SourceError, match="is not there; give the path of a file"):
        qa.sample(tmp_path / "none.csv", folder=tmp_path)
    with pytest.raises(SourceError, match="is not there; give the path of a file"):
        qa.sample(GOOD, tmp_path / "none.csv", folder=tmp_path)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(SourceError, match="cannot be read"):
        qa.sample(tmp_path / "bad.csv", folder=tmp_path)
    (tmp_path / "bad.parquet").write_text("no Parquet")
    with pytest.raises(SourceError, match="cannot be read"):
        qa.sample(tmp_path / "bad.parquet", folder=tmp_path)


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ({"A": 1}, "groups of the parcel list have no target: B"),
        ({"A": 1, "B": 1, "C": 1}, "groups are not in the parcel list: C"),
        ({"A": 1, "B": -1}, "column 'target' has values below 0 (row 2)"),
        (pd.DataFrame({"ua_grp_id": ["A", "B", "A"], "target": [1, 1, 2]}), "groups stand there twice: A"),
        (pd.DataFrame({"ua_grp_id": ["A", "B"], "target": [1.5, 2]}), "column 'target' is double"),
        (
            pd.DataFrame({"group": ["A", "B"], "target": [1, 2]}),
            "column 'ua_grp_id' is missing (there are: group, target)",
        ),
    ],
)
def test_targets_must_be_those_of_just_the_groups_of_the_list(targets, told, tmp_path):
    with pytest.raises(InvalidInputError, match=re.escape(told)):
        qa.sample(GOOD, targets, folder=tmp_path)


def test_a_target_file_decides_and_reads_numeric_groups_as_texts(tmp_path):
    rows = table("1 a 01 0", "2 b 01 0", "3 c 2 0")
    (tmp_path / "targets.csv").write_text("ua_grp_id,target\n2,1\n01,2\n")
    drawn = qa.sample(rows, tmp_path / "targets.csv", raise_by=50, extraction_id="x", folder=tmp_path)
    assert drawn.buckets.to_pylist() == [
        {"bucket_id": "01", "selected": 2, "target": 3, "total": 2},
        {"bucket_id": "2", "selected": 1, "target": 1, "total": 1},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"covered_priority": 3},
        {"noncontributing": 2},
        {"target_rule": "most"},
        {"extraction_id": "../x"},
        {"raise_by": -101},
        {"holding_groups": ["Z"]},
    ],
)
def test_wrong_options_are_refused(wrong, tmp_path):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        qa.sample(GOOD, folder=tmp_path, **wrong)
    assert not list(tmp_path.iterdir())


def test_equal_rankings_are_taken_in_the_order_of_the_list_with_a_warning(tmp_path, caplog):
    rows = pa.concat_tables([table("2 a A 0"), table("1 b A 0")])
    drawn = qa.sample(rows, {"A": 1}, extraction_id="x", folder=tmp_path)
    assert drawn.rows["gsa_par_id"].to_pylist() == ["2"]
    assert "1 parcels have the ranking of another one" in caplog.text
    caplog.clear()
    qa.sample(GOOD, extraction_id="x", folder=tmp_path)
    assert not caplog.text


# -- output -------------------------------------------------------------------------------------------------------


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_files_have_their_columns_and_order(workspace):
    rows = table("01 a B 0", "02 b A,B 1", "03 a A 1")
    drawn = qa.sample(rows, {"A": 2, "B": 2}, extraction_id="my_id")
    assert {path.parent for path in drawn.files.values()} == {workspace.root / "output"}
    assert read(drawn.files["sample"]) == [
        ["bucket_id", "gsa_par_id", "gsa_hol_id", "ranking", "covered", "order_added"],
        ["B", "01", "a", "1", "0", "1"],
        ["B", "02", "b", "2", "1", "4"],
        ["A", "03", "a", "3", "1", "2"],
        ["A", "02", "b", "2", "1", "3"],
    ]
    assert pq.read_table(drawn.files["sample_parquet"]).equals(drawn.rows)
    assert read(drawn.files["parcels"]) == [
        ["gsa_par_id", "gsa_hol_id", "ranking", "covered", "buckets", "bucket_count"],
        ["01", "a", "1", "0", "[B]", "1"],
        ["02", "b", "2", "1", "[A],[B]", "2"],
        ["03", "a", "3", "1", "[A]", "1"],
    ]
    for name, path in drawn.files.items():
        assert path.name.startswith("my_id_"), name
    assert len(list((workspace.root / "output").glob("my_id_extracted_sample*.csv"))) == 1


def test_the_summary_says_parameters_buckets_and_totals(workspace):
    rows = table("1_1 a A 0", "2 b A,B 1", "3 a A 1")
    drawn = qa.sample(rows, {"A": 2, "B": 4}, extraction_id="x", covered_priority=1)
    text = drawn.files["summary"].read_text()
    assert "A | 2 | 2 | 3 | 66.67%\nB | 1 | 4 | 1 | 100.00%\n" in text
    assert "- Covered priority: 1, prioritise covered parcels" in text
    assert "- Average number of selected parcels per selected holding: 1.00" in text
    assert "- Selected parcels covered by VHR images: 2" in text


def test_a_sample_of_nothing_is_written_too(workspace):
    drawn = qa.sample(table("1 a A 0"), covered_priority=2)
    assert drawn.rows.num_rows == drawn.parcels.num_rows == drawn.totals.selected_holdings == 0
    assert "A | 0 | 1 | 1 | 0.00%" in drawn.files["summary"].read_text()
    assert drawn.extraction_id.startswith("extraction_")


def test_interventions_of_whole_holdings_are_the_lists_own_rows(workspace):
    rows = table("1 a A 0", "2 a A,B 1", "3 a B 0", "4 b A 0", "5 c B 1").append_column(
        "note", pa.array(list("uvwxyz"))
    )
    drawn = qa.sample(rows, {"A": 1, "B": 1}, extraction_id="x", holding_groups=["A"])
    assert read(drawn.files["interventions"]) == [
        ["gsa_par_id", "gsa_hol_id", "ua_grp_id", "covered", "ranking", "note", "selected"],
        ["1", "a", "A", "0", "1", "u", "1"],
        ["2", "a", "A", "1", "2", "v", "0"],
    ]
    covered = qa.sample(rows, {"A": 1, "B": 1}, extraction_id="x", holding_groups=["A", "B"], covered_priority=2)
    assert covered.interventions["gsa_par_id"].to_pylist() == ["2", "2"]


def test_the_figure_has_a_bar_and_a_course_for_each_bucket(workspace):
    pytest.importorskip("matplotlib")
    drawn = qa.sample(GOOD, {"A": 2, "B": 0}, extraction_id="x")
    shares, courses = qa.plot_buckets(drawn).axes
    assert [bar.get_width() for bar in shares.patches] == [100, 100]
    assert courses.lines[0].get_xdata().tolist() == [0, 1, 2, 2]
    assert courses.lines[0].get_ydata().tolist() == [0, 50, 100, 100]


# -- options in files and on the command line ---------------------------------------------------------------------


def run(*words):
    from cbm_lake.cli import qa as commands

    return CliRunner().invoke(commands.app, [str(word) for word in words])


@pytest.fixture
def parcel_file(tmp_path):
    path = tmp_path / "parcels.csv"
    path.write_text(GOOD.to_pandas().to_csv(index=False))
    return path


def test_the_command_draws_a_sample_by_the_names_of_the_original(parcel_file, workspace):
    words = ["--3_percent", "TRUE", "--covered_priority", 1, "--noncontributing_filtering", 1, "--extraction_id", "007"]
    done = run("sample", "--parcel_file", parcel_file, *words)
    assert done.exit_code == 0, done.output
    (path,) = (workspace.root / "output").glob("007_extracted_sample*.csv")
    drawn = qa.sample(GOOD, three_percent=True, covered_priority=1, noncontributing=1, extraction_id="x")
    assert read(path) == read(drawn.files["sample"])


def test_options_in_a_file_give_way_to_those_of_the_command(parcel_file, workspace, tmp_path):
    (tmp_path / "a.ini").write_text(
        f"[QUASSA]\nparcel_file = {parcel_file}\n3_percent = yes\ncovered_priority = 2\nholding_groups = A, B\n"
    )
    (tmp_path / "a.json").write_text(
        json.dumps(
            {"parcel_file": str(parcel_file), "3_percent": True, "covered_priority": 2, "holding_groups": ["A", "B"]}
        )
    )
    assert request(tmp_path / "a.ini") == request(tmp_path / "a.json")
    asked = request(tmp_path / "a.ini", covered_priority="0", target_file=None)
    assert (asked.three_percent, asked.covered_priority, asked.holding_groups) == (True, 0, ("A", "B"))
    assert run("sample", "--config", tmp_path / "a.json", "--extraction_id", "j").exit_code == 0
    assert len(list((workspace.root / "output").glob("j_HL_interventions_*.csv"))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.ini", "no section"), ("a.json", "{"), ("a.json", "[1]"), ("a.ini", "[x]\ncolour = red\n"), ("none.ini", None)],
)
def test_a_wrong_file_of_options_is_refused(name, text, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises((SourceError, InvalidInputError), match=name):
        request(tmp_path / name)


@pytest.mark.parametrize("words", [[], ["--parcel_file", "none.csv"], ["--parcel_file", "x", "--3_percent", "maybe"]])
def test_bad_input_is_an_error_of_the_lake(words, workspace):
    done = run("sample", *words)
    assert isinstance(done.exception, (SourceError, InvalidInputError))
    assert "\n" not in str(done.exception)
