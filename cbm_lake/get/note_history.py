"""Who wrote the notes on a parcel, and when: notes.jsonl beside notes.txt, to which each saving adds a line."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cbm_lake.errors import ConfigError, SourceError

FILE: Final = "notes.jsonl"


@dataclass(frozen=True)
class Written:
    """Notes as they were saved once."""

    who: str
    when: datetime
    """In UTC."""
    text: str


def entries(file: Path) -> list[Written]:
    """What was saved, the oldest first; notes that another program or an earlier version wrote are of the file's owner.

    Args:
        file: notes.txt of a parcel.

    Raises:
        SourceError: a file cannot be read.
    """
    return [*_recorded(file), *unrecorded(file)]


def unrecorded(file: Path) -> list[Written]:
    """The notes as they are, where no line of the history says them: [] or one.

    Raises:
        SourceError: a file cannot be read.
    """
    text, recorded = _text(file), _recorded(file)
    if not text.strip() or (recorded and recorded[-1].text == text):
        return []
    return [Written(owner(file), datetime.fromtimestamp(file.stat().st_mtime, UTC), text)]


def _recorded(file: Path) -> list[Written]:
    history = file.with_name(FILE)
    try:
        lines = [json.loads(line) for line in _text(history).splitlines() if line.strip()]
        return [Written(line["who"], datetime.fromisoformat(line["when"]), line["text"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{history} cannot be read ({error}); mend its last line, or rename it") from error


def append(file: Path, written: Written) -> None:
    """Add a line.

    Args:
        file: notes.txt of the parcel.
        written: what is to be added.

    Raises:
        ConfigError: the folder cannot be written.
    """
    history = file.with_name(FILE)
    line = json.dumps({"who": written.who, "when": written.when.isoformat(), "text": written.text}, ensure_ascii=False)
    try:
        with history.open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise ConfigError(f"{history} cannot be written: {error.strerror}; check the folder's rights") from error


def authors(file: Path) -> list[str]:
    """Who wrote the notes, each once; [] where there are none.

    Raises:
        SourceError: a file cannot be read.
    """
    return list(dict.fromkeys(each.who for each in entries(file) if each.text.strip()))


def owner(file: Path) -> str:
    """Owner of a file; the numeric id if it has no name."""
    try:
        return file.owner()
    except (KeyError, NotImplementedError, FileNotFoundError):  # an account that is gone; Windows; a link to nothing
        return f"user {file.lstat().st_uid}"


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read: {error}; save it as text (UTF-8)") from error
