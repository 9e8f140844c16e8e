"""Integrity of the logs of Delta tables: damaged or missing entries, and checkpoints that contradict them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote

import pyarrow.parquet as pq

from cbm_lake.files import digests
from cbm_lake.lake.check.files import rows_of
from cbm_lake.lake.check.looking import RESTORE, UNREADABLE, Looking, reason
from cbm_lake.storage import entries, log, loghint
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.entries import Action
from cbm_lake.storage.loghint import Hint

_RUN_AGAIN = "; without one what it recorded is lost: {}run the last command on this table again"
_REDO = {"files": f"; or delete {loghint.NAME} beside it: the next `parcels load` or `card2db` records the files again"}
"""Of the manifest, which is made of what is there."""
_HINT = "delete it; the next command that writes this table makes it again"


def check_log(looking: Looking, table: str) -> set[str]:
    """Every entry of a table's log, and what sums them up; the answer is which files they ever added."""
    folder = f"{table}/_delta_log"
    numbered = ((entries.version_of(name), name) for name in looking.names(folder, ".json"))
    names = {version: name for version, name in numbered if version >= 0}
    last = max(names, default=-1)
    actions = dict(zip(names, looking.each(lambda n: _actions(looking, table, n, last), names.values()), strict=True))
    hint = _hint(looking, table, actions.get(last) or [])
    _check_gaps(looking, table, sorted(names), hint)
    if hint is not None and looking.deep and hint.version in names:
        content = looking.store.read_bytes(names[hint.version]) or b""
        if actions[hint.version] is not None and digests.computed(content) != hint.digest:
            advice = entries.advice(last=False)
            looking.fault(table, "an entry of the log is not what was written", names[hint.version], advice)
    _check_sums(looking, table, actions, hint)
    added = (line["add"]["path"] for lines in actions.values() for line in lines or () if "add" in line)
    return {f"{table}/{unquote(path)}" for path in added}


def _actions(looking: Looking, table: str, entry: str, last: int) -> list[Action] | None:
    """The actions of an entry; None where it is damaged."""
    try:
        content = looking.store.read_bytes(entry)
        if content is None:  # it has gone since
            return None
        fault = entries.damage(content, entries.position(table, entries.version_of(entry)))
        actions = entries.decoded(content) if fault is None else []
    except UNREADABLE as error:
        fault, actions = reason(error), []
    if fault is not None:
        advice = entries.advice(last=entries.version_of(entry) == last, beside=_sums_of(looking, table, last))
        looking.fault(table, f"an entry of the log is damaged: {fault}", entry, advice)
        return None
    return actions


def _check_gaps(looking: Looking, table: str, numbers: list[int], hint: Hint | None) -> None:
    """Entries that must be there, since there are later ones, or a later one was noted."""
    if not numbers and hint is None:
        return
    ends = [-1, *numbers, *([hint.version + 1] if hint and hint.version >= (numbers or [-1])[-1] else [])]
    for before, after in pairwise(ends):
        for number in range(before + 1, after):
            advice = RESTORE
            if hint is not None and number == hint.version:
                first = f"delete {beside}, then " if (beside := _sums_of(looking, table, number)) else ""
                advice += _REDO.get(table, _RUN_AGAIN.format(first))
            looking.fault(table, "an entry of the log is missing", f"{table}/_delta_log/{number:020}.json", advice)


def _sums_of(looking: Looking, table: str, number: int) -> str:
    """The sum of a log up to its last entry, from which readers go on as if that entry were there; "" without one."""
    name = f"{number:020}.checkpoint.parquet"
    return f"{name} and {log.LAST_CHECKPOINT} beside it" if looking.has(f"{table}/_delta_log/{name}") else ""


def _hint(looking: Looking, table: str, last: list[Action]) -> Hint | None:
    """What was noted of the last entry; None where there is nothing, or nothing of use.

    It is missed where that entry is of this version, and this log is no copy, which has no notes at all.
    """
    name = f"{table}/_delta_log/{loghint.NAME}"
    if not looking.has(name):
        anywhere = any(other.endswith(f"/{loghint.NAME}") for other in looking.listing.files)
        if anywhere and any("digest" in line.get("commitInfo", {}) for line in last):
            problem = "the note of the log's last entry is missing: if an entry has gone with it, that cannot be seen"
            looking.note(table, problem, name, "nothing; the next command that writes this table makes it again")
        return None
    try:
        return loghint.parsed(looking.store.read_bytes(name) or b"")
    except UNREADABLE as error:
        looking.note(table, f"the note of the log's last entry is of no use: {reason(error)}", name, _HINT)
        return None


# -- checkpoints ------------------------------------------------------------------------------------------------------


def _check_sums(looking: Looking, table: str, actions: dict[int, list[Action] | None], hint: Hint | None) -> None:
    """The checkpoints, and the file that says which is the latest."""
    sums = looking.names(f"{table}/_delta_log", ".parquet")
    for name in sums:
        noted = hint.sums.get(name.rpartition("/")[2]) if hint else None
        if rows_of(looking, name, log.WITHOUT_SUM, digest=noted) is not None and looking.reads_all(name):
            _compare(looking, table, name, actions)
    _check_latest(looking, table, sums)


def _check_latest(looking: Looking, table: str, sums: list[str]) -> None:
    """The file that says which checkpoint is the latest."""
    latest = f"{table}/_delta_log/{log.LAST_CHECKPOINT}"
    if not looking.has(latest):
        if sums:
            problem = "nothing names the latest sum of the log, so that the whole log is read"
            looking.note(table, problem, latest, "run `cbm-lake compact`")
        return
    try:
        words = json.loads(looking.store.read_bytes(latest) or b"")
        version, size = int(words["version"]), words.get("sizeInBytes")
    except UNREADABLE as error:
        looking.fault(table, f"what names the latest sum of the log is damaged: {reason(error)}", latest, "delete it")
        return
    if "parts" not in words:  # which a log of another program has
        _check_named(looking, table, sums, words, f"{table}/_delta_log/{version:020}.checkpoint.parquet", size)


def _check_named(
    looking: Looking, table: str, sums: list[str], words: Mapping[str, object], named: str, size: int | None
) -> None:
    """The checkpoint that is named as the latest."""
    latest = f"{table}/_delta_log/{log.LAST_CHECKPOINT}"
    if named not in sums:
        looking.fault(table, "the sum of the log that is named as the latest is missing", latest, "delete it")
    elif size not in (None, looking.size(named)):
        looking.fault(table, "the latest sum of the log is not the one that is named", latest, "delete it")
    elif named != sums[-1]:
        problem = "the latest sum of the log is not the one that is named: a command broke off, or is running"
        looking.note(table, problem, latest, "nothing; the next command that sums the log up names it")
    elif looking.deep and not is_remote(looking.store.url):
        _check_words(looking, table, latest, words)


_WORDS = frozenset({"version", "size", "parts", "sizeInBytes", "numOfAddFiles", "checkpointSchema", "checksum", "tags"})


def _check_words(looking: Looking, table: str, latest: str, words: Mapping[str, object]) -> None:
    """What else the name of the latest checkpoint says of it."""
    named = f"{table}/_delta_log/{int(str(words['version'])):020}.checkpoint.parquet"
    filesystem, root = looking.store.filesystem
    try:
        with pq.ParquetFile(f"{root}/{named}", filesystem=filesystem) as file:
            rows, adds = file.metadata.num_rows, file.read(["add"])["add"]
    except UNREADABLE:  # which is a finding of its own
        return
    right = {"size": rows, "numOfAddFiles": len(adds.drop_null())}
    if words.keys() - _WORDS or any(words.get(name, value) != value for name, value in right.items()):
        looking.fault(table, "what names the latest sum of the log is not what was written", latest, "delete it")


def _compare(looking: Looking, table: str, name: str, actions: dict[int, list[Action] | None]) -> None:
    """Whether a checkpoint says what the entries up to its version say, where all of these can be read."""
    needed = range(entries.version_of(name) + 1)
    if any(actions.get(number) is None for number in needed):
        return
    filesystem, root = looking.store.filesystem
    try:
        with pq.ParquetFile(f"{root}/{name}", filesystem=filesystem) as file:
            there = [{kind: words for kind, words in row.items() if words} for row in file.read().to_pylist()]
    except UNREADABLE:  # which is a finding of its own
        return
    if _state(there) != _state(line for number in needed for line in actions[number] or ()):
        looking.fault(table, "the sum of the log says other things than its entries", name, log.WITHOUT_SUM)


@dataclass
class _State:
    """The state of a table that the lines of its log add up to."""

    files: dict[str, tuple[int, tuple[tuple[str, str | None], ...]]] = field(default_factory=dict)
    """Size and partition of each by its path."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Of the latest commit of each name."""
    identity: tuple[str, str] = "", ""
    """Identifier and schema of the table."""


def _state(lines: Iterable[Action]) -> _State:
    state = _State()
    for line in lines:
        if add := line.get("add"):
            partition = tuple(sorted(dict(add["partitionValues"] or ()).items()))
            state.files[unquote(add["path"])] = add["size"], partition
        if gone := line.get("remove"):
            state.files.pop(unquote(gone["path"]), None)
        if txn := line.get("txn"):
            state.numbers[txn["appId"]] = txn["version"]
        if described := line.get("metaData"):
            state.identity = described["id"], described["schemaString"]
    return state
