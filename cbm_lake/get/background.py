"""Get background images of a parcel or location: orthophotos, or true colour composites of the lake's scenes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.get import folders
from cbm_lake.lake import Lake
from cbm_lake.lake.arguments import also, is_number, ptype_stood_at
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel import sources
from cbm_lake.parcel.basemaps import Square
from cbm_lake.parcel.sources import ByPid, Source

log = logging.getLogger(__name__)


@also(ptype_stood_at(3, is_number, now=6))
@checked_options
def by_pid(
    aoi: str,
    year: int,
    pid: str,
    chipsize: int = 512,
    extend: float = 512,
    tms: str | Sequence[str] = "Google",
    ptype: str | None = None,
    axis: bool = True,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> list[Path]:
    """Get images around a parcel's centroid: temp/<aoi>/<year>/<pid>/backgrounds/<tms>.tif; returns their paths.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        chipsize: pixels a side.
        extend: metres (of EPSG:3857) a side.
        tms: a tile server or several: google, bing, osm, esri, ags, one of the settings, or sentinel.
        ptype: which parcel set; None is the main one.
        axis: not used, as in the original; figures are those of `show.background`.
        debug: log the steps at level DEBUG.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or no image there.
        InvalidInputError: unknown tile server, or a size out of range.
        SourceError: the tile server does not answer, and the lake has no scene there.

    A server that does not answer is replaced by the lake's clearest scene, which is sentinel.tif; the log and the tags
    of the file say so (`backgrounds.caption`).
    """
    _check_kind(ptype)
    source = sources.here(lake)
    columns = source.answer(ByPid(ParcelKey(aoi, year, ptype or "", str(pid))))
    folder = folders.place(aoi, year, str(pid), "backgrounds")
    square = Square(columns["clon"][0], columns["clat"][0], "", chipsize, extend)
    return _written(source, folder, square, tms, debug=debug)


@checked_options
def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    chipsize: int = 512,
    extend: float = 512,
    tms: str | Sequence[str] = "Google",
    ptype: str | None = None,
    axis: bool = True,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> list[Path]:
    """Get images around a location: temp/<aoi>/<year>/_<lon>_<lat>/backgrounds/<tms>.tif.

    See `by_pid`; ptype does not matter.
    """
    _check_kind(ptype)
    folder = folders.place(aoi, year, f"_{folders.of_location(lon, lat)}", "backgrounds")
    square = Square(float(lon), float(lat), "", chipsize, extend)
    return _written(sources.here(lake), folder, square, tms, debug=debug)


def _check_kind(ptype: str | None) -> None:
    if isinstance(ptype, bool):
        raise InvalidInputError(
            f"ptype is the name of a parcel set, not {ptype}; the quiet of early calls is left out now"
        )


def _written(source: Source, folder: Path, square: Square, tms: str | Sequence[str], *, debug: bool) -> list[Path]:
    """The files, and the empty one whose name says their pixels and metres."""
    names = [tms] if isinstance(tms, str) else tms
    Workspace.here().prepare(folder)
    files = [source.write_background(replace(square, tms=name), folder / f"{name.lower()}.tif") for name in names]
    for old in folder.glob("chipsize_extend_*"):
        old.unlink(missing_ok=True)
    folders.write_file(folder / f"chipsize_extend_{square.chipsize}_{square.extend:g}", "")
    if debug:
        log.debug("backgrounds of %s are in %s", ", ".join(names), folder)
    return files
