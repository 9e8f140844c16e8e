"""Draws the figures of a report to PNG files and records why one cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cbm_lake import show
from cbm_lake.errors import LakeError
from cbm_lake.report.facts import Key
from cbm_lake.show.reading import Reading
from cbm_lake.show.style import Figure, page_of

Figures = tuple[dict[str, bytes], dict[str, str], str]
"""Figures by name (PNG), reasons by the names of those that are missing, and what the background shows, in words."""


def draw(
    reading: Reading, key: Key, folder: Path, tms: str, *, with_peers: bool = True, is_checked: bool = False
) -> Figures:
    """Draw all figures.

    Args:
        reading: of the lake.
        key: aoi, year, ptype, pid.
        folder: for files on the way.
        tms: background under the geometry.
        with_peers: also what other parcels look like; a notice is of one farmer's parcel alone.
        is_checked: whether the declared crop was checked.
    """
    where = key["aoi"], key["year"], key["pid"]
    verbs: dict[str, Callable[..., Figure | None]] = {
        "place": partial(show.background.by_pid, tms=tms),
        "ndvi": partial(show.time_series.ndvi, markers=True, peers=None if with_peers else False),
        "bands": partial(show.time_series.s2, bands=("B02", "B04", "B08", "B11"), peers=False),
        "radar": partial(show.time_series.s1, peers=False),
        "calendar": show.calendar.by_pid,
    }
    if with_peers and is_checked:
        verbs["crop"] = show.crop_check.by_pid
    pictures: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    background = ""
    for name, verb in verbs.items():
        file = folder / f"{name}.png"
        try:
            figure = page_of(verb(*where, ptype=key["ptype"] or None, file=file, lake=reading))
        except LakeError as error:
            missing[name] = str(error)
        else:
            pictures[name] = file.read_bytes()
            background = str(figure.get_label()) if name == "place" else background
    return pictures, missing, background
