"""Exports of a season before anything is written: can each file be, does no other write it, does its statement run."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import duckdb

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError
from cbm_lake.files.validation import Path as Keys
from cbm_lake.files.validation import Problem, location, meant
from cbm_lake.lake import Lake, export, queries
from cbm_lake.season.file import Export, Extraction

_OF_THE_SYSTEM: Final = (("/", "proc"), ("/", "sys"), ("/", "dev"))
"""Folders, as parts of a path, whose files are no files on a disk."""
_NAME: Final = re.compile(r"\w+(\.\w+)?")
"""What is the name of a view or query rather than a statement."""


def problems(exports: Mapping[int, Export], inputs: Mapping[Keys, Path], folder: Path) -> Iterator[Problem]:
    """Files that cannot be written, that two exports write, or that are read.

    Args:
        exports: by their number in the file.
        inputs: files and folders that are read, by their keys.
        folder: in which relative paths are.
    """
    before: dict[int, Path] = {}
    for number, one in exports.items():
        path, keys = folder / one.path, ("exports", number, "path")
        reasons = [_unwritable(path), _onto_input(path, inputs), _same(path, before)]
        yield from (Problem(keys, f"{one.path}: {reason}") for reason in reasons if reason)
        before[number] = path


def inside(exports: Mapping[int, Export], lake: Lake, folder: Path) -> Iterator[Problem]:
    """Files that would come into the folder of the lake."""
    if "://" in lake.url:
        return
    for number, one in exports.items():
        if Path(os.path.realpath(folder / one.path)).is_relative_to(os.path.realpath(lake.url)):
            yield Problem(("exports", number, "path"), f"{one.path}: lies in the lake ({lake.url}); name another")


def _unwritable(path: Path) -> str | None:
    """Why there can be no such file."""
    if path.is_dir():
        return "is a folder; name a file in it"
    parent = next(one for one in path.parents if os.path.lexists(one))
    if not parent.is_dir():
        return f"{parent} is no folder; name another"
    top = Path(os.path.realpath(path)).parts[:2]
    if top in _OF_THE_SYSTEM and not Path(os.path.realpath(path)).is_relative_to("/dev/shm"):  # noqa: S108 - not used
        return f"{Path(*top)} is of the operating system, and no file in it lasts; name another folder"
    return None if _is_writable(parent) else f"the folder {parent} cannot be written; name another"


def _is_writable(folder: Path) -> bool:
    """Whether a file can be created in a folder, by trying it with one that has no name, or is deleted at once."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _onto_input(path: Path, inputs: Mapping[Keys, Path]) -> str | None:
    """Which input it would be written over, or come into."""
    for keys, read in inputs.items():
        if _are_one(path, read):
            return f"is the file of {location(keys)}, which is read; name another"
        if read.is_dir() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(read)):
            return f"lies in the folder of {location(keys)}, all of which is read; name another"
    return None


def _same(path: Path, before: Mapping[int, Path]) -> str | None:
    """Which export before writes the same file."""
    for number, other in before.items():
        if _are_one(path, other):
            alike = (
                "" if _folded(path) != _folded(other) or path.name == other.name else ", but for the case of letters"
            )
            return f"is the file of exports[{number}], too{alike}: two exports write it; name another"
    return None


def _are_one(path: Path, other: Path) -> bool:
    """Whether two paths are of one file: by links, or on file systems that do not tell upper and lower case apart."""
    if path.exists() and other.exists():
        return path.samefile(other) or _folded(path) == _folded(other)
    return _folded(path) == _folded(other)


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def statements(
    exports: Mapping[int, Export], extracted: Mapping[str, Extraction], lake: Lake, *, unsure: bool = False
) -> Iterator[Problem]:
    """Exports whose statement the lake cannot run, or whose rows the format cannot hold; nothing of it is run.

    Args:
        exports: by their number in the file.
        extracted: the cards that are extracted: columns of their optional statistics and indices are still to come.
        lake: the lake.
        unsure: whether something in them is wrong, so that columns may be missing for that.
    """
    if not exports:
        return
    with ExitStack() as stack:
        here = stack.enter_context(lake.connect())
        there: duckdb.DuckDBPyConnection | None = None
        for number, one in exports.items():
            error = _refused(here, one)
            if error and _further(extracted):
                there = there or _scratch(stack, extracted)
                error = _refused(there, one)
            if error and not (unsure and isinstance(error.__cause__, duckdb.BinderException)):
                yield Problem(("exports", number, "what"), str(error))


def _refused(connection: duckdb.DuckDBPyConnection, one: Export) -> InvalidInputError | None:
    """Why an export cannot be; None where it can."""
    try:
        _try(connection, one)
    except InvalidInputError as error:
        return error
    return None


def _further(extracted: Mapping[str, Extraction]) -> bool:
    """Whether extraction brings columns that a lake may not have yet."""
    options = [extraction.model_dump() for extraction in extracted.values()]
    return any(one["statistics"] or one["indices"] for one in options)


def _try(connection: duckdb.DuckDBPyConnection, one: Export) -> None:
    """Bind an export.

    Raises:
        InvalidInputError: it cannot be run, or the format cannot hold its rows.
    """
    if _NAME.fullmatch(one.what) and one.what not in queries.load():
        listed = connection.sql("select table_name from information_schema.tables order by all").fetchall()
        views = [name for (name,) in listed]
        if one.what.lower() not in views:
            raise InvalidInputError(
                f"there is no view or query {one.what!r}; {meant(one.what, [*views, *queries.load()])}"
            )
    params = cards.with_classes(dict(one.params))
    statement = export.statement(one.what)
    cursor = connection.cursor()
    with queries.translated():
        kinds = [part.type for part in cursor.extract_statements(statement)]
    if kinds == [duckdb.StatementType.SELECT]:
        statement = f"select * from (\n{_without_end(statement)}\n) limit 0"  # noqa: S608 - it is one SELECT
    rows = queries.relation(cursor, statement, params)
    export.check(rows, Path(one.path))


def _without_end(statement: str) -> str:
    """One statement without the semicolons behind it, whatever comments follow."""
    text = bytearray(statement.encode())  # as offsets of tokens are of bytes
    for offset, _ in duckdb.tokenize(statement):
        if text[offset] == ord(";"):
            text[offset] = ord(" ")
    return text.decode()


def _scratch(stack: ExitStack, extracted: Mapping[str, Extraction]) -> duckdb.DuckDBPyConnection:
    """An empty lake with the columns that the season's extraction will bring."""
    lake = Lake(stack.enter_context(tempfile.TemporaryDirectory()))
    for card, extraction in extracted.items():
        options = extraction.model_dump()
        lake.prepare(card, options["statistics"], options["indices"])
    return stack.enter_context(lake.connect())
