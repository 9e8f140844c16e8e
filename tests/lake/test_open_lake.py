"""One lake per place and moment in a process, which stays open, notices what others do, and can be closed."""

import ast
import gc
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from factories import fill, parcels, scene, scenes
from questions import counted

import cbm_lake
from cbm_lake import backup, extract, get, guard, markers, qa, report, show
from cbm_lake import scenes as decisions
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, open_lake
from cbm_lake.storage.caches import Cache, Caches
from cbm_lake.storage.log import Log

KEY = {"aoi": "ms", "year": 2024, "ptype": ""}
PACKAGE = Path(cbm_lake.__file__).parent
DOORS = {
    "lake/__init__.py": {"at", "lake_or_default"},  # the same lake at another moment; the first line of the verbs
    "parcel/sources/__init__.py": {"here"},  # the source of `get`, where no server is
    "extract/scene.py": None,  # what workers run, in processes of their own
    "extract/jobparcels.py": None,  # the same
    "extract/blocks.py": {"_cached_with_masks"},  # the same
    "extract/pixelindices.py": None,  # the same
    "extract/pixelsources.py": None,  # the same
    "extract/running.py": {"_settle"},  # the lake of a plan, which names it by its URL
    "demo/run.py": {"run"},  # its own, not that of the settings
    "report/__init__.py": {"parcel"},  # behind the checks of its formats
    "foi/result.py": {"parcels_of"},  # for parcels of a file none is opened
    "report/facts.py": {"open_at"},  # the lake of the moment that a report says
    "report/verification.py": {"verify"},
}
"""Where else a lake is opened than in a public verb's first line, the command line and the widgets."""


# -- one object ------------------------------------------------------------------------------------------------------


def test_a_place_and_moment_have_one_lake_in_a_process_however_they_are_named(workspace, monkeypatch):
    lake = open_lake()
    monkeypatch.chdir(workspace.root)
    assert open_lake() is open_lake(workspace.lake_url) is open_lake("data/lake") is open_lake(f"{lake.url}/") is lake
    assert open_lake(as_of="2024-06-30") is open_lake(as_of="2024-06-30T00:00:00Z") is lake.at("2024-06-30")
    assert open_lake(as_of="2024-06-30") is not lake
    assert open_lake(as_of="2024-06-30").at(None) is lake


def test_another_workspace_and_another_setting_give_another_lake(workspace, tmp_path, monkeypatch):
    lake = open_lake()
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path / "other"))
    other = open_lake()
    assert other.url == str(tmp_path / "other" / "data" / "lake")
    Workspace.here().configure("lake", url="mine")
    assert open_lake().url == str(tmp_path / "other" / "mine")
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", str(tmp_path / "third"))
    assert open_lake().url == str(tmp_path / "third")
    monkeypatch.delenv("CBM_LAKE_LAKE__URL")
    monkeypatch.setenv("CBM_LAKE_HOME", str(workspace.root))
    assert open_lake() is lake


def test_other_keys_to_an_object_store_give_another_lake(workspace, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_S3__ACCESS_KEY", "one")
    lake = open_lake("s3://bucket/lake")
    assert open_lake("s3://bucket/lake/") is lake
    monkeypatch.setenv("CBM_LAKE_S3__ACCESS_KEY", "two")
    assert open_lake("s3://bucket/lake") is not lake


def test_threads_that_open_a_lake_at_once_have_the_same_and_right_answers(workspace):
    fill(Lake(workspace.lake_url))
    expected = Lake(workspace.lake_url).sql("select count(*) as n from s2")
    opened, barrier = [], threading.Barrier(8)

    def ask():
        barrier.wait()
        lake = open_lake()
        opened.append((lake, lake.sql("select count(*) as n from s2")))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(lake) for lake, _ in opened}) == 1
    assert all(rows.equals(expected) for _, rows in opened)


def test_lakes_that_nobody_has_are_given_up_but_the_last_few(tmp_path):
    lakes = [weakref.ref(open_lake(str(tmp_path / str(number)))) for number in range(12)]
    gc.collect()
    assert [lake() is not None for lake in lakes] == 4 * [False] + 8 * [True]


# -- other processes -------------------------------------------------------------------------------------------------


def test_a_lake_that_is_pickled_is_the_one_of_its_place_where_it_arrives(lake):
    past = lake.at("2024-06-30")
    for one in (open_lake(), past):
        assert pickle.loads(pickle.dumps(one)) is one  # noqa: S301 - its own


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
from cbm_lake import SourceError, open_lake
lake = open_lake(sys.argv[1])
before = lake.sql("select count(*) as n from s2") if sys.argv[2] == "read" else None
child = os.fork()
if child == 0:
    again = open_lake(sys.argv[1])
    assert again is not lake and again is open_lake(sys.argv[1])
    try:
        again.sql("from s2"), lake.sql("from s2")
    except SourceError as error:
        print(error, flush=True)
    os._exit(0)  # as multiprocessing does
assert os.waitpid(child, 0)[1] == 0
assert before is None or lake.sql("select count(*) as n from s2").equals(before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("parent", ["read", "only opened"])
def test_a_forked_process_has_lakes_of_its_own_and_is_told_where_it_cannot_read_them(lake, parent):
    fill(lake)
    command = [sys.executable, "-c", FORKED, lake.url, parent]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    assert done.stdout == "" if parent != "read" else "was forked from one that has read a lake; start" in done.stdout


# -- what others do --------------------------------------------------------------------------------------------------


def test_what_another_wrote_is_seen_at_the_next_question(lake):
    fill(lake)
    reader, writer = open_lake(), Lake(lake.url)
    before = reader.sql("from s2").num_rows
    assert before
    writer.add_scenes(scenes(scene("Z")))
    assert "Z" in reader.sql("select id from scenes")["id"].to_pylist()
    writer.add_parcels("zz", 2025, "", "v1", parcels())
    assert reader.parcel_set("zz", 2025).version == "v1"
    decisions.leave_out("A", why="cloud shadows", lake=writer)
    assert reader.sql("from s2").num_rows < before


def test_a_lake_that_was_deleted_and_made_anew_is_noticed_also_with_as_many_commits(lake, tmp_path):
    other = fill(Lake(str(tmp_path / "other")), names=("B",))
    fill(lake, names=("A",))
    reader = open_lake()
    assert set(reader.sql("select scene from s2")["scene"].to_pylist()) == {"A"}
    shutil.rmtree(lake.url)
    assert reader.is_empty
    assert reader.sql("from s2").num_rows == 0
    fill(Lake(lake.url), names=("A",))
    assert set(reader.sql("select scene from s2")["scene"].to_pylist()) == {"A"}
    shutil.rmtree(lake.url)
    shutil.copytree(other.url, lake.url)
    assert set(reader.sql("select scene from s2")["scene"].to_pylist()) == {"B"}
    assert reader.snapshot().versions == other.snapshot().versions


def test_tables_that_were_never_made_are_looked_for_once_and_seen_when_they_come(lake, monkeypatch):
    fill(lake)
    opened, original = [], Log.open
    monkeypatch.setattr(Log, "open", lambda log: opened.append(log.name) or original(log))
    reader = Lake(lake.url)
    assert reader.query("scenes.left_out").num_rows == 0
    assert len(opened) == len(set(opened)) == len(reader._tables)
    opened.clear()
    for _ in range(3):
        assert reader.query("scenes.left_out").num_rows == 0
    assert opened == []
    decisions.leave_out("A", why="cloud shadows", lake=Lake(lake.url))
    opened.clear()
    assert reader.query("scenes.left_out").num_rows == 1
    assert "exclusions" in opened
    assert len(opened) < len(reader._tables) / 2


def test_the_lake_as_it_was_at_a_moment_that_is_to_come_sees_what_is_written_until_then(lake):
    coming = lake.at("2999-01-01")
    assert coming.sql("from s2").num_rows == 0
    fill(lake)
    assert coming.sql("from s2").num_rows == lake.sql("from s2").num_rows > 0


# -- closing ---------------------------------------------------------------------------------------------------------


def test_closing_frees_the_caches_and_duckdb_and_asking_again_opens_again(lake):
    fill(lake)
    pid = lake.sql("select min(pid) as pid from s2")["pid"][0].as_py()
    rows = lake.query("time_series.s2", **KEY, pid=pid, bands=None)
    assert lake.caches.row_groups.size > 0
    database = weakref.ref(lake._opened)
    lake.close()
    lake.close()
    gc.collect()
    assert database() is None
    assert all(cache.size == len(cache) == 0 for _, cache in lake.caches)
    assert lake.query("time_series.s2", **KEY, pid=pid, bands=None).equals(rows)


def test_a_with_block_closes_the_lake_and_others_of_the_process_go_on(workspace):
    fill(Lake(workspace.lake_url))
    other = open_lake()
    rows = other.relation("from s2 order by scene, pid")
    with open_lake() as lake:
        assert lake is other
        expected = lake.sql("from s2 order by scene, pid")
    assert rows.to_arrow_table().equals(expected)
    assert other.sql("from s2 order by scene, pid").equals(expected)


def test_a_connection_of_ones_own_stays_open_when_its_lake_is_closed(lake):
    fill(lake)
    connection = lake.connect()
    lake.close()
    assert connection.sql("from s2").limit(1).fetchall()


# -- caches ----------------------------------------------------------------------------------------------------------


def test_a_cache_gives_up_what_was_used_least_recently_and_never_the_newest():
    cache = Cache(1)
    size = 400_000
    for key in "ab":
        cache.get(key, lambda key=key: key * 2, lambda _: size)
    assert cache.get("a", lambda: "not asked for", lambda _: size) == "aa"
    cache.get("c", lambda: "cc", lambda _: size)
    assert cache.get("b", lambda: "made again", lambda _: size) == "made again"
    assert cache.size <= cache.limit
    assert cache.get("large", lambda: "one", lambda _: 5 * cache.limit) == "one"
    assert len(cache) == 1
    misses = cache.misses
    assert cache.get("large", lambda: "another", lambda _: 1) == "one"
    assert cache.misses == misses


def test_what_cannot_be_made_is_not_cached():
    cache = Cache(1)
    with pytest.raises(InvalidInputError):
        cache.get("a", lambda: (_ for _ in ()).throw(InvalidInputError("no")), lambda _: 1)
    assert cache.get("a", lambda: 5, lambda _: 1) == 5


MODULE_CACHES = ("lru_cache", "cache")
"""By these a function's values are cached for the whole process."""


def decorated():
    """The functions whose values are cached for the whole process, as module.function."""
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = [getattr(each, "func", each) for each in node.decorator_list]
                if any(isinstance(name, ast.Name) and name.id in MODULE_CACHES for name in names):
                    yield f"{module}.{node.name}"


def test_the_page_lists_every_cache_of_a_lake_with_its_limit_and_every_one_of_the_process():
    text = (PACKAGE.parent / "docs" / "lake.md").read_text()
    section = text[text.index("## Caches") :].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:2] == "| "]
    listed = {cells[0]: cells[1] for cells in rows}
    for name, cache in Caches():
        assert listed.pop(name) == f"{cache.limit >> 20} MB", name
    assert {name for name in listed if "." in name} == set(decorated())


# -- doors -----------------------------------------------------------------------------------------------------------


OPENERS = ("open_lake", "lake_or_default")


def openings():
    """Every call of one of OPENERS: file, the functions round it from the innermost, and the statement."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text())
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in OPENERS:
                above = [node]
                while above[-1] in parents:
                    above.append(parents[above[-1]])
                functions = [each for each in above if isinstance(each, ast.FunctionDef)]
                statement = next(each for each in above if isinstance(each, ast.stmt))
                yield file.relative_to(PACKAGE).as_posix(), functions, statement


def is_first(function, statement):
    """Whether a statement is the first of a function but its docstring and imports."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return next(each for each in body if not isinstance(each, ast.ImportFrom)) is statement


@pytest.mark.thorough
def test_a_lake_is_opened_in_the_first_line_of_public_verbs_and_at_the_doors_alone():
    found = list(openings())
    assert len(found) > 30
    for file, functions, statement in found:
        if file.startswith(("cli/", "ipycbm/")):
            continue
        function = functions[-1]
        where = f"{file}: {function.name}"
        if file in DOORS and (DOORS[file] is None or function.name in DOORS[file]):
            continue
        names = [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]
        assert ast.unparse(statement) == "lake = lake_or_default(lake)", where
        assert not function.name.startswith("_"), where
        assert "lake" in names, where
        assert is_first(function, statement), where


@pytest.mark.thorough
def test_lakes_are_made_by_open_lake_alone_but_for_copies_and_trials():
    made = set()
    for file in PACKAGE.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        if any(getattr(call.func, "id", "") == "Lake" for call in calls):
            made.add(file.relative_to(PACKAGE).as_posix())
    assert made == {"lake/__init__.py", "lake/backups.py", "extract/machine.py", "season/targets.py"}


@pytest.mark.thorough
@pytest.mark.parametrize("given", ["/data/lake", Path("/data/lake"), "", 0, False])
@pytest.mark.parametrize(
    "ask",
    [
        lambda lake: backup("copy", lake=lake),
        lambda lake: extract.s2("2024-01-01", "2024-02-01", aoi="ms", year=2024, lake=lake),
        lambda lake: get.time_series.by_pid("ms", 2024, "12", lake=lake),
        lambda lake: show.time_series.ndvi("ms", 2024, "12", lake=lake),
        lambda lake: report.parcel("ms", 2024, "12", lake=lake),
        lambda lake: markers.find("ms", 2024, lake=lake),
        lambda lake: qa.inspections("s1", lake=lake),
        lambda lake: guard.suspects(lake=lake),
        lambda lake: decisions.left_out(lake=lake),
    ],
)
def test_what_is_no_lake_is_refused_by_name_and_never_the_workspaces_instead(workspace, ask, given):
    fill(open_lake())
    with pytest.raises(InvalidInputError, match=rf"lake={re.escape(repr(given))} is not right: .*Lake"):
        ask(given)


def test_a_lake_is_opened_by_a_path_too_and_what_is_no_place_is_refused(tmp_path):
    assert open_lake(tmp_path) is open_lake(str(tmp_path))
    with pytest.raises(InvalidInputError, match="url=3 is not right: it is the folder or the s3:// URL of a lake"):
        open_lake(3)


# -- questions -------------------------------------------------------------------------------------------------------


def test_a_verb_without_a_lake_opens_none_when_one_is_open(workspace):
    fill(open_lake())
    get.time_series.by_pid("ms", 2024, "12")
    with counted() as count:
        get.time_series.by_pid("ms", 2024, "12")
    assert (count.lakes, count.logs) == (0, 0)
    assert count.names == {"time_series.s2": 1}


@pytest.mark.parametrize(
    "ask",
    [
        lambda lake: get.parcel_info.by_pid("ms", 2024, "12", lake=lake),
        lambda lake: get.parcels_list.peers("ms", 2024, "12", lake=lake),
        lambda lake: get.time_series.weather("ms", 2024, "12", lake=lake),
        lambda lake: get.several.by_pids("ms", 2024, ["12"], lake=lake),
        lambda lake: guard.suspects(lake=lake),
        lambda lake: markers.smoothed("ms", 2024, pids=["12"], lake=lake),
        lambda lake: qa.inspections("s1", lake=lake),
        lambda lake: decisions.left_out(lake=lake),
    ],
)
def test_a_verb_with_a_lake_asks_that_one_and_no_other(workspace, tmp_path, ask):
    lake = fill(Lake(str(tmp_path / "elsewhere")))
    ask(lake)
    with counted() as count:
        ask(lake)
    assert count.lakes == 0
    assert count.asked == {lake.url}
