"""Offers once to delete what is left in temp/."""

from __future__ import annotations

import html
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import ipywidgets

from cbm_lake import palette
from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError
from cbm_lake.get import folders
from cbm_lake.ipycbm.panel import told

_ASKED: set[Path] = set()
"""The folders about which this process has asked."""


def offered(widget: ipywidgets.Widget) -> ipywidgets.Widget:
    """The widget, below the question where there is something to be asked."""
    temp = Workspace.here().temp
    left = folders.kept(temp)
    if temp in _ASKED or not left:
        return widget
    _ASKED.add(temp)
    return ipywidgets.VBox([question(temp, left), widget])


def question(temp: Path, left: dict[str, dict[str, list[str]]]) -> ipywidgets.Widget:
    """Whether the folders of parcels in temp/ are to go."""
    count = sum(len(pids) for years in left.values() for pids in years.values())
    newest = max(folder.stat().st_mtime for folder in temp.glob("*/*/*/"))
    what = f"{count} parcels, the newest of {datetime.fromtimestamp(newest):%Y-%m-%d %H:%M}"
    asked = ipywidgets.HTML(f"{html.escape(str(temp))} holds data of {what}. Delete it?")
    delete = ipywidgets.Button(description=f"delete {count} folders", button_style="danger", layout={"width": "auto"})
    keep = ipywidgets.Button(description="keep", layout={"width": "auto"})
    box = ipywidgets.VBox(
        [asked, ipywidgets.HBox([keep, delete])], layout={"border": f"1px solid {palette.DOUBTFUL}", "padding": "8px"}
    )

    def answered(pressed: Any) -> None:
        if pressed is delete:
            with told(asked):
                asked.value = f"{clear(temp)} folders were deleted"
        box.children = (asked,) if pressed is delete else ()
        box.layout.border = "0"

    delete.on_click(answered)
    keep.on_click(answered)
    return box


def clear(temp: Path) -> int:
    """Delete the folders of parcels in temp/, and nothing else; how many there were.

    Raises:
        ConfigError: one cannot be deleted.
    """
    gone = 0
    for folder in sorted(temp.glob("*/[0-9][0-9][0-9][0-9]/*/")):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be deleted: {error.strerror}; check its rights") from error
        gone += 1
    return gone
