"""Widget that offers once to delete remaining files in temp/."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import ipywidgets

from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.get import folders, leftovers
from cbm_lake.get.leftovers import Leftover
from cbm_lake.ipycbm.panel import reporting

_ASKED: set[Path] = set()
"""The folders about which this process has asked."""


def offered(widget: ipywidgets.Widget) -> ipywidgets.Widget:
    """The widget, below a clean-up prompt if there is anything to delete."""
    temp = Workspace.here().temp
    remaining = folders.kept(temp)
    if temp in _ASKED or not remaining:
        return widget
    _ASKED.add(temp)
    return ipywidgets.VBox([question(temp, remaining), widget])


def question(temp: Path, remaining: dict[str, dict[str, list[str]]]) -> ipywidgets.Widget:
    """Prompt to delete the parcel folders in temp/, with a second confirmation for files made by a person."""
    count = sum(len(pids) for years in remaining.values() for pids in years.values())
    files = leftovers.of_folders(folders.of_parcels(temp))
    return _Question(temp, count, files)


class _Question(ipywidgets.VBox):
    """A question with answer buttons."""

    def __init__(self, temp: Path, count: int, files: Sequence[Leftover]) -> None:
        self._leftovers = files
        newest = max((folder.stat().st_mtime for folder in folders.of_parcels(temp)), default=0.0)
        content = leftovers.in_words(files) if files else f"{count} empty folders"
        self.line = ipywidgets.HTML(
            f"{html.escape(str(temp))} holds data of {html.escape(content)}; the newest of "
            f"{datetime.fromtimestamp(newest):%Y-%m-%d %H:%M}. Delete it?"
        )
        self.buttons = ipywidgets.HBox(
            [_button("keep", self._end), _button(f"delete {count} folders", self._delete, "danger")]
        )
        super().__init__(
            [self.line, self.buttons], layout={"border": f"1px solid {palette.DOUBTFUL}", "padding": "8px"}
        )

    def _delete(self, _: object) -> None:
        """Delete files that can be fetched again; asks first about files made by a person."""
        written = leftovers.by_person(self._leftovers)
        if not written:
            self._go(also_by_person=False)
            return
        self.line.value = f"A person made this, and it cannot be fetched again: {html.escape(written)}. Delete it too?"
        self.buttons.children = (
            _button("delete all but this", lambda _: self._go(also_by_person=False)),
            _button("delete this too", lambda _: self._go(also_by_person=True), "danger"),
            _button("delete nothing", self._end),
        )

    def _go(self, *, also_by_person: bool) -> None:
        with reporting(self.line):
            gone = leftovers.delete(self._leftovers, also_by_person=also_by_person)
            parcels = len({each.parcel for each in self._leftovers})
            stays = "" if also_by_person else leftovers.by_person(self._leftovers)
            rest = f"; what a person made stays, notes in {html.escape(str(Workspace.here().data))}" if stays else ""
            self.line.value = f"{gone:,} files of {parcels} folders were deleted{rest}"
        self.children, self.layout.border = (self.line,), "0"

    def _end(self, _: object) -> None:
        self.set_trait("children", ())
        self.layout.border = "0"


def _button(label: str, pressed: Any, style: str = "") -> ipywidgets.Button:
    button = ipywidgets.Button(description=label, button_style=style, layout={"width": "auto"})
    button.on_click(pressed)
    return button
