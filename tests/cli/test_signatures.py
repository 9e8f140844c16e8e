"""Whatever a verb can be asked from Python it can be asked from the command line, and the other way round."""

import inspect
import logging

import pytest
import typer

from cbm_lake import cases, guard, markers, season
from cbm_lake.cli import Once, app

PROGRAM = typer.main.get_command(app)
NAMES = {"pids": "pid", "scenarios": "scenario"}
"""Arguments that the commands of markers name in the singular, since an option is repeated."""
VERBS = [
    ("cases open", [cases.open_cases], {}),
    ("cases judge", [cases.judge], {}),
    ("cases withdraw", [cases.withdraw], {}),
    ("cases judgements", [cases.judgements], {}),
    ("worklist season", [cases.worklist, cases.last_visit], {}),
    ("worklist sample", [cases.sample_worklist], {}),
    ("worklist cases", [cases.case_worklist], {}),
    ("cases list", [cases.listed], {}),
    ("cases history", [cases.history], {}),
    ("cases notify", [cases.notify, cases.notices], {"target": "to", "record_it": "record"}),
    ("cases reschedule", [cases.reschedule], {}),
    ("cases answer", [cases.answer], {"files": "photos"}),
    ("cases close", [cases.close], {}),
    ("cases reopen", [cases.reopen], {}),
    ("cases photo", [cases.save_photo], {}),
    ("cases verify", [cases.verify], {"case": "cases"}),
    ("markers find", [markers.find], NAMES),
    ("markers looks", [markers.looks], NAMES),
    ("markers lights", [markers.traffic_light], NAMES),
    ("markers evidence", [markers.evidence], NAMES),
    ("markers phenology", [markers.phenology, markers.smoothed], NAMES),
    ("markers parts", [markers.parts, markers.show_parts], {**NAMES, "file": "figure"}),
    ("guard check", [guard.scenes], {}),
    ("guard list", [guard.suspects], {}),
    ("guard clear", [guard.clear], {}),
    ("guard shifts", [guard.shifts], {"store": "keep"}),
    ("guard shift-errors", [guard.shift_errors], {}),
    (
        "changes",
        [season.changes, season.record],
        {**NAMES, "scenarios": "scenarios", "run": "since"},
    ),
    ("run", [season.run, season.watch], {"path": "file", "seconds": "watch"}),
]
PYTHON_ONLY = {"lake", "progress", "watcher", "stop", "parcels"}
"""The lake is an option of every command (--lake); a parcel set is named by its keys; the others are callbacks."""
COMMAND_ONLY = {
    "output",  # how rows are shown
    "every",  # rows or columns that are shown
    "colour",  # lights that are shown
    "curves",  # which of two verbs
    "to",  # a file beside the rows
    "record",  # which of two verbs
    "once",  # which of two verbs
}
WITHOUT = {"cases notify": {"notices"}, "cases judge": {"shown"}}
"""Digests of what was sent, which `notices` computes; what was drawn when somebody decided, which a terminal is not."""


def options(words):
    command = PROGRAM
    for word in words.split():
        command = command.commands[word]
    return {each.name for each in command.params}


@pytest.mark.parametrize(("words", "verbs", "names"), VERBS, ids=[words for words, _, _ in VERBS])
def test_a_command_takes_what_its_verbs_take(words, verbs, names):
    asked = {names.get(name, name) for verb in verbs for name in inspect.signature(verb).parameters}
    asked -= PYTHON_ONLY | WITHOUT.get(words, set())
    assert asked - options(words) == set()
    assert options(words) - asked - COMMAND_ONLY == set()


@pytest.mark.parametrize("module", [cases, markers, guard], ids=lambda module: module.__name__)
def test_no_verb_of_these_rooms_is_without_a_command(module):
    covered = {verb for _, verbs, _ in VERBS for verb in verbs}
    without = {cases.read_photo} | {getattr(guard, "judged", None)}
    verbs = {
        each
        for name, each in vars(module).items()
        if inspect.isfunction(each) and not name.startswith("_") and each.__module__.startswith(module.__name__)
    }
    assert verbs - covered - without == set()


def test_a_command_says_the_same_line_once():
    once, lines = Once(), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    handler.addFilter(once)
    logger = logging.getLogger("test.once")
    logger.addHandler(handler)
    for number in (1, 2, 1):
        logger.warning("column %s is text", number)
    assert lines == ["column 1 is text", "column 2 is text"]
