"""Worklist of the workbench: the table from which parcels are chosen, one page of rows in the browser at a time."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TypedDict

import anywidget
import traitlets

from cbm_lake import cases
from cbm_lake.errors import InvalidInputError, LakeError
from cbm_lake.ipycbm.desk.state import State
from cbm_lake.ipycbm.texts import Texts, table
from cbm_lake.lake import Lake, lake_or_default

PAGE: Final = 100
"""Rows that the browser has."""
FORMATS: Final = ("csv", "xlsx", "gpkg")
COLUMNS: Final = {
    "season": (
        *("colour", "pid", "decision", "crop", "area_ha", "change", "reason", "crop_check", "crop_rank", "foi"),
        *("due", "scenario", "outdated"),
    ),
    "sample": ("pid", "decision", "crop", "area_ha", "bucket", "ranking", "holding"),
    "cases": ("status", "pid", "colour", "decision", "scenario", "answer_by", "crop", "area_ha", "reason", "opened"),
}
"""Columns of the table by desk, the most important first; all others are in files."""
_LISTS: Final = ("desk", "subject", "aoi", "year", "ptype", "where", "sort", "search")
"""Traits of the state on which the rows depend."""
_WORDS: Final = (
    *("search", "search_tip", "filter", "filter_tip", "next", "next_tip", "pages", "first", "previous", "following"),
    *("last", "table", "reading", "by", "download", "details", "nothing", "descending", "ascending"),
)
_LARGEST: Final = 100_000_000
"""Bytes of a file that is sent to the browser."""
Message = Mapping[str, Any]


class _Asked(TypedDict):
    """How the rows are filtered, searched and sorted."""

    where: str
    search: str
    sort: str


class Worklist(anywidget.AnyWidget):
    """Table of what there is to decide on, in the order of the state; rows are chosen by mouse or keyboard.

    The chosen row moves in the browser at once; while a key is held only the last row is asked for.

    Args:
        state: of the workbench: what is listed, how it is filtered, searched and sorted, and the chosen parcel.
        lake: the lake; None is the workspace's.
        language: one of `texts.LANGUAGES`; None is that of the settings.
    """

    _esm = Path(__file__).with_name("worklist.js")
    _css = Path(__file__).with_name("worklist.css")
    columns = traitlets.List(traitlets.Dict()).tag(sync=True)
    """name, label, tip and kind (text, number or day) of each column."""
    view = traitlets.Dict().tag(sync=True)
    """offset, total and rows (values by column, and what is said of the row) of the page that is shown."""
    at = traitlets.Int(-1).tag(sync=True)
    """Place of the chosen row in the list, from 0; -1 is none."""
    count = traitlets.Unicode("").tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)
    """Why there is no list."""
    asked = traitlets.Dict().tag(sync=True)
    """where, search and sort as they are."""
    busy = traitlets.Bool(False).tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    """Texts of the values of columns, by column and value."""
    language = traitlets.Unicode("en").tag(sync=True)

    def __init__(self, state: State, lake: Lake | None = None, *, language: str | None = None) -> None:
        super().__init__()
        self.state, self.lake = state, lake_or_default(lake)
        self.texts = Texts("worklist", language)
        self.language = self.texts.language
        self.words = {word: self.texts(word) for word in _WORDS}
        self.values = _values(self.language)
        self._list: cases.Worklist | None = None
        self._answered: tuple[object, ...] = ()
        self._position = -1
        self._reading = threading.RLock()
        self._visits: dict[tuple[str, int, str], datetime | None] = {}
        self._handlers: dict[str, Callable[[Message], None]] = {
            "page": lambda message: self._show(int(message["offset"])),
            "choose": self._choose,
            "ask": self._ask,
            "next": lambda _: self._go(self.next_open(self.state.pid)),
            "file": lambda message: self._send_file(str(message["format"])),
        }
        self.on_msg(self._hear)
        self.refresh()
        state.observe(self._relist, list(_LISTS))
        state.observe(lambda _: self._follow(), "pid")

    @property
    def selected(self) -> dict[str, Any] | None:
        """All columns of the chosen row, such as the case_id of a case; None where no row is chosen."""
        if self._list is None or self.at < 0:
            return None
        rows: list[dict[str, Any]] = self._list.page(self.at, 1).to_pylist()
        return rows[0] if rows else None

    def progress(self) -> tuple[int, int]:
        """How many rows are decided, and how many there are."""
        count = self._list.count() if self._list else cases.Count(0, 0)
        return count.rows - count.open, count.rows

    def next_open(self, pid: str) -> str | None:
        """The next parcel without a decision after this one, else from the beginning; None where there is none."""
        if self._list is None:
            return None
        position = self._list.position(pid)
        return self._pid(self._list.next_open(self._position - 1 if position is None else position))

    def step(self, pid: str, by: int) -> str | None:
        """The parcel so many rows below; None beyond the ends."""
        if self._list is None:
            return None
        is_chosen = self.at >= 0 and (self.selected or {}).get("pid") == pid  # one of several rows of the parcel
        position = self.at if is_chosen else self._list.position(pid)
        if position is None:  # it has left the list, and the next one has its position
            position = self._position - (by > 0)
        to = position + by
        return self._pid(to) if 0 <= to < self._list.count().rows else None

    def refresh(self) -> None:
        """Read again what stands, also by others; the page and the chosen parcel stay.

        One after another, whichever thread asks: the last one reads what is chosen last.
        """
        with self._reading:
            self._refresh()

    def _refresh(self) -> None:
        self.busy, self._answered = True, self._question()
        try:
            self._list = self._read() if self.state.aoi else None
            self.problem = ""
        except LakeError as error:
            self._list, self.problem = None, error.plain
        finally:
            self.busy = False
        with self.hold_sync():
            self.columns = [self._column(name) for name in COLUMNS[self.state.desk]]
            self.asked = {name: getattr(self.state, name) for name in ("where", "search", "sort")}
            done, total = self.progress()
            self.count = self.texts("count", done=f"{done:,}", total=f"{total:,}") if self._list else ""
            self._follow(again=True)

    def _question(self) -> tuple[object, ...]:
        """On what the rows depend."""
        return tuple(getattr(self.state, name) for name in _LISTS)

    def _read(self) -> cases.Worklist:
        state = self.state
        key = (state.aoi, state.year, state.ptype)
        how: _Asked = {"where": state.where, "search": state.search, "sort": state.sort}
        if state.desk == "sample":
            return cases.sample_worklist(state.subject, *key, **how, lake=self.lake)
        if state.desk == "cases":
            return cases.case_worklist(*key, scenario=state.subject or None, **how, lake=self.lake)
        if key not in self._visits:  # what is new stays so while somebody decides
            self._visits[key] = cases.last_visit(*key, lake=self.lake)
        return cases.worklist(*key, scenario=state.subject or None, since=self._visits[key], **how, lake=self.lake)

    def _relist(self, change: Mapping[str, Any]) -> None:
        """Show another list from its beginning, or where the chosen parcel is in it; once for several changes."""
        if self._answered == self._question():
            return
        if change["name"] not in ("where", "search", "sort"):
            self._position = -1
        self.refresh()

    def _follow(self, *, again: bool = False) -> None:
        """Show the page with the chosen parcel; another page only where it is not on this one."""
        position = self._list.position(self.state.pid) if self._list and self.state.pid else None
        if position is not None and self.at >= 0 and self._pid(self.at) == self.state.pid:
            position = self.at  # one of several rows of the parcel
        self._position = self._position if position is None else position
        offset = int(self.view.get("offset", 0))
        first = offset if position is None or offset <= position < offset + PAGE else position // PAGE * PAGE
        with self.hold_sync():
            self.at = -1 if position is None else position
            if again or first != offset:
                self._show(first)

    def _show(self, offset: int) -> None:
        """Send a page of rows."""
        total = self._list.count().rows if self._list else 0
        offset = max(0, min(offset, (total - 1) // PAGE * PAGE if total else 0))
        rows = self._list.page(offset, PAGE).to_pylist() if self._list else []
        names = [column["name"] for column in self.columns]
        self.view = {"offset": offset, "total": total, "rows": [self._row(row, names) for row in rows]}

    def _row(self, row: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
        """Values of a row for the browser, and who decided when with which note."""
        said = ""
        if row["decision"]:
            when = row["decided"].strftime("%Y-%m-%d %H:%M UTC") if row["decided"] else ""
            said = " · ".join(part for part in (row["who"], when, row["note"]) if part)
        return {"cells": [_plain(row[name]) for name in names], "pid": row["pid"], "said": said}

    def _column(self, name: str) -> dict[str, str]:
        numbers, days = ("area_ha", "crop_rank", "ranking"), ("due", "answer_by", "opened")
        kind = "number" if name in numbers else "day" if name in days else "text"
        return {"name": name, "label": self.texts(f"column_{name}"), "tip": self.texts(f"tip_{name}"), "kind": kind}

    def _pid(self, position: int | None) -> str | None:
        """The parcel at a position of the list."""
        rows = self._list.page(position, 1) if self._list and position is not None and position >= 0 else None
        return str(rows["pid"][0].as_py()) if rows is not None and rows.num_rows else None

    def _hear(self, _: object, content: Message, __: object) -> None:
        """Answer a message of the browser."""
        handler = self._handlers.get(str(content.get("kind")))
        if handler:
            handler(content)

    def _choose(self, message: Message) -> None:
        """Choose the row that was chosen in the browser; by its parcel, if the list has another one there by now."""
        position, pid = int(message["at"]), str(message["pid"])
        there = position if self._pid(position) == pid else self._list.position(pid) if self._list else None
        if there is None:
            self._follow(again=True)
            return
        self.at = self._position = there
        self._go(pid)

    def _go(self, pid: str | None) -> None:
        if pid is not None:
            self.state.pid = pid

    def _ask(self, message: Message) -> None:
        """Filter, search or sort; all that is asked for together is read once."""
        asked = {name: str(message[name]) for name in ("where", "search", "sort") if name in message}
        self.busy = True
        with self.state.hold_trait_notifications():
            for name, value in asked.items():
                setattr(self.state, name, value)
        self.busy = False
        self.asked = {name: getattr(self.state, name) for name in ("where", "search", "sort")}

    def _send_file(self, extension: str) -> None:
        """Send all rows of the list as a file."""
        if self._list is None or extension not in FORMATS:
            return
        state = self.state
        name = "_".join(part for part in ("worklist", state.aoi, str(state.year), state.ptype) if part)
        self.busy = True
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{name}.{extension}"
                rows = self._list.export(path)
                if path.stat().st_size > _LARGEST:
                    raise InvalidInputError(self.texts("too_large", rows=f"{rows:,}"))
                self.send({"kind": "file", "name": path.name}, [path.read_bytes()])
            self.problem = ""
        except LakeError as error:
            self.problem = error.plain
        finally:
            self.busy = False


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _values(language: str) -> dict[str, dict[str, str]]:
    """Texts of values, by column and value."""
    texts: dict[str, dict[str, str]] = {}
    for key, entry in table("worklist").items():
        kind, _, rest = key.partition("/")
        if kind == "value":
            column, _, value = rest.partition("/")
            texts.setdefault(column, {})[value] = entry[language]
    return texts
