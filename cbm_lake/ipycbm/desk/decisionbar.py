"""The decision bar: the decision on what is drawn, the note, undo, the report, and how far the list is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from cbm_lake.ipycbm.desk.address import is_own_page
from cbm_lake.ipycbm.desk.desks import Choice
from cbm_lake.ipycbm.texts import Texts

_WORDS: Final = (
    "decision",
    "note",
    "note_tip",
    "undo",
    "undo_tip",
    "pdf",
    "pdf_tip",
    "link",
    "link_tip",
    "copied",
    "keys",
    "keys_tip",
    "close",
    "decided_tip",
)
_KEYS: Final = {
    "u": "undo",
    "m": "key_note",
    "N": "key_next",
    "↑ ↓": "key_parcel",
    "← →": "key_day",
    "/": "key_search",
    "Esc": "key_escape",
    "?": "keys_tip",
}
"""What the keys of every desk do."""
Heard = Callable[[dict[str, Any]], None]


class DecisionBar(anywidget.AnyWidget):
    """Buttons and keys; what is pressed is given to `hear` with the number of what was on the screen.

    `hear` gets {"kind": "decide", "choice", "note", "number"}, {"kind": "undo"}, {"kind": "report", "number"},
    {"kind": "next"}, {"kind": "step", "by"} or {"kind": "day", "by"}.
    """

    _esm = Path(__file__).with_name("decisionbar.js")
    _css = Path(__file__).with_name("bench.css")
    words = traitlets.Dict().tag(sync=True)
    own = traitlets.Bool(False).tag(sync=True)
    choices = traitlets.List(traitlets.Dict()).tag(sync=True)
    hints = traitlets.List(traitlets.List()).tag(sync=True)
    bound = traitlets.Dict().tag(sync=True)
    """{"number", "pid"} of what is drawn, {} while nothing can be decided."""
    locked = traitlets.Unicode("…").tag(sync=True)
    """Why nothing can be decided now."""
    what = traitlets.Unicode("").tag(sync=True)
    standing = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Unicode("").tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)
    theme = traitlets.Unicode("auto").tag(sync=True)
    """auto, light or dark."""
    dark = traitlets.Bool(False).tag(sync=True)
    """Whether the colours on the screen are dark; the browser says it."""
    undoable = traitlets.Bool(False).tag(sync=True)

    def __init__(self, texts: Texts, hear: Heard) -> None:
        super().__init__(words={name: texts(name) for name in _WORDS}, own=is_own_page())
        self._texts = texts
        self.on_msg(lambda _, content, __: hear(content))

    def offer(self, choices: Mapping[str, Choice]) -> None:
        """Offer the decisions of a desk."""
        texts = self._texts
        self.hints = [[choice.key, texts(name)] for name, choice in choices.items()] + [
            [key, texts(name)] for key, name in _KEYS.items()
        ]
        self.choices = [
            {"name": name, "key": choice.key, "label": texts(name), "tip": texts(f"{name}_tip")}
            for name, choice in choices.items()
        ]

    def hand_over(self, name: str, content: bytes, media_type: str) -> None:
        """Let the browser save a file."""
        self.send({"kind": "file", "name": name, "type": media_type}, [content])

    def recorded(self) -> None:
        """Empty the note: it went into the record."""
        self.send({"kind": "recorded"})
