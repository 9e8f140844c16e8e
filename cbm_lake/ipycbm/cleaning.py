"""Questions before files are deleted: what would go, made by whom, and asked twice."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import ipywidgets

from cbm_lake.cards import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import counted
from cbm_lake.get import folders, leftovers
from cbm_lake.get.leftovers import Leftover
from cbm_lake.ipycbm import changes
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


def question(temp: Path, remaining: dict[str, dict[str, list[str]]]) -> Question:
    """Prompt to delete the parcel folders in temp/."""
    count = sum(len(pids) for years in remaining.values() for pids in years.values())
    files = leftovers.of_folders(folders.of_parcels(temp))
    newest = max((folder.stat().st_mtime for folder in folders.of_parcels(temp)), default=0.0)
    content = leftovers.in_words(files) if files else f"{count} empty folders"
    line = f"{temp} holds data of {content}; the newest of {datetime.fromtimestamp(newest):%Y-%m-%d %H:%M}. Delete it?"
    return Question(line, files, lambda: changes.announce("folders"), folders=folders.of_parcels(temp))


class Question(ipywidgets.VBox):
    """Asks twice whether files are to be deleted, about what a person made by itself.

    Args:
        line: what they are, and the question.
        files: which; exactly these go.
        done: called when some are deleted.
        folders: that go too where they are empty.
    """

    def __init__(
        self, line: str, files: Sequence[Leftover], done: Callable[[], None], folders: Sequence[Path] = ()
    ) -> None:
        self._files, self._done, self._folders = files, done, folders
        self.line = ipywidgets.HTML(html.escape(line))
        self.buttons = ipywidgets.HBox([_button("keep", self._end), _button("delete …", self._ask, "danger")])
        layout = {"border": f"1px solid {palette.DOUBTFUL}", "padding": "8px"}
        super().__init__([self.line, self.buttons], layout=layout)

    def _ask(self) -> None:
        """The second question."""
        mine = [each for each in self._files if each.by_person and not each.of_another]
        others = leftovers.by_person([each for each in self._files if each.of_another])
        fetched = sum(not each.by_person for each in self._files)
        parts = [
            f"{counted(fetched, 'file')} can be fetched again." if fetched else "",
            f"You made this, and it cannot be fetched again: {leftovers.by_person(mine)}." if mine else "",
            f"Others made this, and it stays: {others}." if others else "",
        ]
        self.line.value = html.escape(" ".join(filter(None, [*parts, "Delete for good?"])))
        only = f"delete {counted(fetched, 'file')}" if fetched else "delete the empty folders"
        buttons = [_button("delete nothing", self._end)]
        if fetched or not self._files:
            buttons.append(_button(only, lambda: self._go(also_by_person=False), "danger"))
        if mine:
            buttons.append(_button("delete yours too", lambda: self._go(also_by_person=True), "danger"))
        self.buttons.children = tuple(buttons)

    def _go(self, *, also_by_person: bool) -> None:
        with reporting(self.line):
            gone = leftovers.delete(self._files, also_by_person=also_by_person)
            leftovers.delete_empty(self._folders)
            parcels = len({each.parcel for each in self._files})
            stays = leftovers.by_person([each for each in self._files if not also_by_person or each.of_another])
            rest = f"; what a person made stays, notes in {Workspace.here().data}: {stays}" if stays else ""
            self.line.value = html.escape(f"{counted(gone, 'file')} of {counted(parcels, 'parcel')} deleted{rest}")
        self.children, self.layout.border = (self.line,), "0"
        self._done()

    def _end(self) -> None:
        self.set_trait("children", ())
        self.layout.border = "0"


def _button(label: str, pressed: Callable[[], None], style: str = "") -> ipywidgets.Button:
    button = ipywidgets.Button(description=label, button_style=style, layout={"width": "auto"})
    button.on_click(lambda _: pressed())
    return button
