"""Processes that are forked ready: each is fresh, ends by itself or is ended, and the one that forks may die."""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from cbm_lake.errors import SourceError
from cbm_lake.lake import Lake
from cbm_lake.server.granting import Grants
from cbm_lake.server.nursery import SUPPORTED, Nursery
from cbm_lake.server.sqlbox import Limits, Question, SqlBox

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="no descriptors of processes on this system")

SERVED = """
import os, sys
from cbm_lake.server import nursery
seen = []
def work():
    word = sys.stdin.readline().strip()
    seen.append(word)
    if word == "open":
        seen.extend(os.listdir("/proc/self/fd"))
    if word == "kill":
        os.kill(os.getpid(), 24)
    if word == "fail":
        raise ValueError("it failed")
    sys.stdout.write(",".join(seen)); sys.stdout.flush()
    os._exit(7 if word == "seven" else 0)
nursery.serve(work)
"""


@pytest.fixture
def nursery():
    made = Nursery((sys.executable, "-c", SERVED), lambda: dict(os.environ))
    yield made
    made.close()


def said(child, word):
    """What a child answers, and how it ends."""
    child.stdin.write(f"{word}\n".encode())
    child.stdin.close()
    answer = child.stdout.read().decode()
    child.communicate()
    return answer, child.returncode


def test_each_child_knows_of_no_other_whichever_was_made_first(nursery):
    children = [nursery.child() for _ in range(4)]
    assert len({child.pid for child in children}) == 4
    for number in (2, 0, 3, 1):
        assert said(children[number], f"word{number}") == (f"word{number}", 0)
    assert said(nursery.child(), "late") == ("late", 0)


def test_a_child_has_its_three_streams_and_nothing_of_others(nursery):
    others = [nursery.child() for _ in range(3)]
    word, *descriptors = said(nursery.child(), "open")[0].split(",")
    assert (word, set(descriptors) - {"3"}) == ("open", {"0", "1", "2"})  # 3 is the folder that it lists
    for child in others:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(("word", "status"), [("seven", 7), ("kill", -24), ("fail", 1), ("", 0)])
def test_how_a_child_ended_is_known(nursery, word, status):
    assert said(nursery.child(), word)[1] == status


def test_a_child_that_waits_is_ended_and_ending_it_again_is_no_error(nursery):
    child = nursery.child()
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.communicate()
    child.kill()


def opened():
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_descriptor_is_left_open(nursery):
    said(nursery.child(), "first")
    before = opened()
    for _ in range(5):
        said(nursery.child(), "more")
    assert opened() == before


def test_one_that_died_is_started_again_and_one_that_cannot_start_is_said(nursery):
    assert said(nursery.child(), "one") == ("one", 0)
    os.kill(nursery._process.pid, signal.SIGKILL)
    assert said(nursery.child(), "two") == ("two", 0)
    broken = Nursery((sys.executable, "-c", "raise SystemExit"), lambda: dict(os.environ))
    with pytest.raises(SourceError, match="no process for SQL"):
        broken.child()
    broken.close()


@pytest.mark.thorough
def test_the_next_question_after_that_is_answered_too(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    grants, box = Grants(lake, tmp_path / "sql"), SqlBox()
    with grants.database(None) as database, closing(box), closing(grants):

        def answered():
            question = Question(str(database), lake.url, "select 7 as a", {}, Limits())
            return [row for batch in list(box.ask(question))[1:] for row in batch.to_pylist()]

        assert answered() == [{"a": 7}]
        os.kill(box._nursery._process.pid, signal.SIGKILL)
        box._nursery._process.wait()
        assert answered() == [{"a": 7}]


def test_a_process_is_not_left_when_no_other_can_be_made_ready(monkeypatch):
    box, ended = SqlBox(), []
    first = SimpleNamespace(kill=lambda: ended.append("killed"), communicate=lambda: ended.append("freed"))
    starts = iter([first])
    monkeypatch.setattr(box, "_start", lambda: next(starts))
    with pytest.raises(StopIteration):
        box._next_process()
    assert ended == ["killed", "freed"]


def test_closing_leaves_no_process(nursery):
    child = nursery.child()
    parent = nursery._process
    nursery.close()
    assert parent.returncode is not None
    assert said(child, "still") == ("still", -signal.SIGKILL)  # nobody is left to say how it ended
