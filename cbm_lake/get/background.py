"""Background images: an orthophoto round a parcel or place, or true colour of the lake's own scenes."""

from __future__ import annotations

from pathlib import Path

from cbm_lake import sources
from cbm_lake.get import folders
from cbm_lake.lake import Lake


def by_pid(
    aoi: str,
    year: int,
    pid: str,
    chipsize: int = 512,
    extend: int = 512,
    tms: str | list[str] = "Google",
    ptype: str | None = None,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> list[Path]:
    """Images round a parcel's centroid: temp/<aoi>/<year>/<pid>/backgrounds/<tms>.tif; their paths.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        chipsize: pixels a side.
        extend: metres (of EPSG:3857) a side.
        tms: a tile server or several: google, bing, osm, esri, ags, one of the settings, or sentinel.
        ptype: which parcel set; None is the main one.
        debug: not used: nothing more is to be told.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or no image there.
        InvalidInputError: unknown tile server, or a size out of range.
        SourceError: the tile server does not answer, and the lake has no scene there.
    """
    found = sources.here(lake).parcel_by_id(aoi, year, str(pid), ptype=ptype)
    folder = folders.place(aoi, year, str(pid), "backgrounds")
    return _written(folder, found["clon"][0], found["clat"][0], chipsize, extend, tms, lake)


def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    chipsize: int = 512,
    extend: int = 512,
    tms: str | list[str] = "Google",
    ptype: str | None = None,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> list[Path]:
    """Images round a place: temp/<aoi>/<year>/_<lon>_<lat>/backgrounds/<tms>.tif. See `by_pid`."""
    folder = folders.place(aoi, year, f"_{folders.of_location(lon, lat)}", "backgrounds")
    return _written(folder, lon, lat, chipsize, extend, tms, lake)


def _written(
    folder: Path, lon: float, lat: float, chipsize: int, extend: int, tms: str | list[str], lake: Lake | None
) -> list[Path]:
    """The files, and the empty one whose name says their size."""
    source = sources.here(lake)
    names = [tms] if isinstance(tms, str) else tms
    files = [
        source.background(lon, lat, chipsize=chipsize, extend=extend, tms=name, file=folder / f"{name.lower()}.tif")
        for name in names
    ]
    folders.write_file(folder / f"chipsize_extend_{chipsize}_{extend}", "")
    return files
