"""The figures of a report, as files; where one cannot be drawn, why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cbm_lake import show
from cbm_lake.errors import LakeError

Drawn = tuple[dict[str, bytes], dict[str, str], str]
"""Figures by name (PNG), reasons by the names of those that are missing, and what the background shows, in words."""


def draw(key: dict[str, Any], folder: Path, tms: str) -> Drawn:
    """Draw them all.

    Args:
        key: aoi, year, ptype, pid.
        folder: for files on the way.
        tms: of which background the outline is drawn.
    """
    where = {"aoi": key["aoi"], "year": key["year"], "pid": key["pid"], "ptype": key["ptype"] or None}
    figures: dict[str, Callable[..., Any]] = {
        "place": partial(show.background.by_pid, tms=tms),
        "ndvi": partial(show.time_series.ndvi, markers=True),
        "bands": partial(show.time_series.s2, bands=("B02", "B04", "B08", "B11")),
        "radar": show.time_series.s1,
        "calendar": show.calendar.by_pid,
    }
    drawn: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    background = ""
    for name, figure in figures.items():
        file = folder / f"{name}.png"
        try:
            label = figure(**where, file=file).get_label()
        except LakeError as error:
            missing[name] = str(error)
        else:
            drawn[name] = file.read_bytes()
            background = label if name == "place" else background
    return drawn, missing, background
