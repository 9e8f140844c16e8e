"""Heartbeat of a page: it says when the process behind it has ended, and tells the process that somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from cbm_lake.ipycbm.texts import Texts

_TEXTS: Final = ("dead", "lost", "reload")


class Heartbeat(anywidget.AnyWidget):
    """Shows nothing while all is well; once per page.

    Args:
        texts: of the table "bench".
        beat: called every few seconds while the page is open and in sight; it must return at once.
    """

    _esm = Path(__file__).with_name("heartbeat.js")
    _css = Path(__file__).with_name("heartbeat.css")
    texts = traitlets.Dict().tag(sync=True)

    def __init__(self, texts: Texts, beat: Callable[[], None] = lambda: None) -> None:
        super().__init__(texts={name: texts(name) for name in _TEXTS})
        self._beat = beat
        self.on_msg(self._hear)

    def _hear(self, _: object, content: dict[str, Any], __: object) -> None:
        if content.get("kind") == "beat":
            self._beat()
