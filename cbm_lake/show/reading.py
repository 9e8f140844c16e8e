"""What figures are drawn from: asked of `get`, which keeps it in temp/<aoi>/<year>/<pid>/."""

from __future__ import annotations

import ast
import calendar
import json
import logging
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from cbm_lake import cards, get
from cbm_lake.cards import CLOUD_CLASSES, S2, Classes, band_called
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, LakeError, NotFoundError, SourceError
from cbm_lake.files import limits
from cbm_lake.files.dates import day_of
from cbm_lake.geo.reprojection import reprojected, transformer
from cbm_lake.parcel import basemaps, sources
from cbm_lake.show import computing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_MOMENT: Final = re.compile(r"(?<!\d)(\d{8})(?:T(\d{6}))?(?!\d)")
_LONGEST: Final = 60
"""Letters of a crop's name."""
_PIXEL: Final = 10.0
"""Metres a side of the pixels in which images are drawn."""
LARGEST: Final = 5120
"""Metres: the widest image."""


WORK: Final = ("mowing", "ploughing", "sowing", "harvest")
"""Markers that are something that was done on a day."""


@dataclass(frozen=True)
class Parcel:
    """A parcel as declared."""

    aoi: str
    year: int
    pid: str
    ptype: str | None
    crop: str | None
    code: str | None
    area: float
    """m²."""
    lon: float
    lat: float
    epsg: int
    outline: shapely.Geometry

    @property
    def label(self) -> str:
        """Identifier, crop (its beginning) and hectares."""
        crop = textwrap.shorten(self.crop or self.code or "no crop declared", _LONGEST, placeholder=" …")
        return " · ".join([self.pid, crop, hectares(self.area)])

    def outline_in(self, epsg: int) -> shapely.Geometry:
        """The outline in another coordinate system."""
        return reprojected(self.outline, self.epsg, epsg)

    @property
    def widest(self) -> float:
        """Metres from edge to edge on a plain map round the parcel, the larger of width and height."""
        west, south, east, north = self.outline_in(computing.utm(self.lon, self.lat)).bounds
        return float(max(east - west, north - south))


@dataclass(frozen=True)
class Image:
    """What one scene saw of a place."""

    obstime: datetime
    bands: dict[str, NDArray[Any]]
    cloud: float
    """Share of clouded pixels, of the parcel where there is one; NaN where it is not known."""


@dataclass(frozen=True)
class Event:
    """Something that was done on a parcel, between two days on which it was seen."""

    name: str
    first: pd.Timestamp
    day: pd.Timestamp
    """The likeliest."""
    last: pd.Timestamp


@dataclass(frozen=True)
class Images:
    """The images of a place on one grid, by time."""

    epsg: int
    transform: Affine
    size: int
    """Pixels a side."""
    images: tuple[Image, ...]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        metres = self.size * self.transform.a
        return self.transform.c, self.transform.f - metres, self.transform.c + metres, self.transform.f


def heading(chosen: Sequence[Parcel]) -> str:
    """What stands above a figure: the parcel, or how many."""
    first = chosen[0]
    place = f"{first.aoi} {first.year}"
    return f"Parcel {first.label} · {place}" if len(chosen) == 1 else f"{len(chosen)} parcels of {place}"


def hectares(area: float) -> str:
    """An area in words: 2.68 ha, 0.0120 ha, 1,240 ha."""
    value = area / 10_000
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 0.1 else 4
    return f"{value:,.{digits}f} ha"


def degrees(lon: float, lat: float) -> str:
    """A place in words: 50.9566° N, 3.7906° E."""
    return f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"


# -- parcels ------------------------------------------------------------------------------------------------------


def parcels(aoi: str, year: int, pid: str | Sequence[str], ptype: str | None = None) -> list[Parcel]:
    """The parcels of those identifiers, in that order, each once.

    Raises:
        InvalidInputError: no identifier at all.
        NotFoundError: one of them is not there.
    """
    wanted = [pid] if isinstance(pid, (str, int)) else list(pid)
    if not wanted:
        raise InvalidInputError("which parcel? the list of identifiers is empty")
    return [_parcel(aoi, year, each, ptype) for each in dict.fromkeys(map(str, wanted))]


def _parcel(aoi: str, year: int, pid: str, ptype: str | None) -> Parcel:
    held = _held(aoi, year, pid, "info.json", ptype)
    answer = json.loads(held.read_text("utf-8")) if held else {}
    if not answer.get("pid") or not answer.get("geom"):
        answer = get.parcel_info.by_pid(aoi, year, pid, ptype, geom=True)
    if not answer.get("pid"):
        raise NotFoundError(f"no parcel {pid!r} in {aoi} {year}; identifiers are text, as the agency wrote them")
    return _declared(aoi, year, ptype, {name: values[0] for name, values in answer.items()})


def _declared(aoi: str, year: int, ptype: str | None, row: dict[str, Any]) -> Parcel:
    """A parcel of a row of the contract; an outline that names no system is in degrees unless it lies far outside."""
    geometry = json.loads(row["geom"])
    outline = shapely.from_geojson(json.dumps({key: geometry[key] for key in ("type", "coordinates")}))
    degrees = "crs" not in geometry and max(map(abs, outline.bounds)) <= 180
    return Parcel(
        aoi, int(year), str(row["pid"]), ptype, row["cropname"] or None, row["cropcode"] and str(row["cropcode"]),
        float(row["area"]), float(row["clon"]), float(row["clat"]), 4326 if degrees else int(row["srid"]), outline,
    )  # fmt: skip


def _held(aoi: str, year: int, pid: str, name: str, ptype: str | None) -> Path | None:
    """A file that a server's answer was kept in; a lake is asked again, since it may have grown since.

    Files do not say of which parcel set they are, so those of other sets than the main one are asked for again too.
    """
    file = get.folders.place(aoi, year, pid, name)
    server = sources.is_server()
    return file if server and not ptype and file.exists() else None


# -- time series --------------------------------------------------------------------------------------------------


def series(parcel: Parcel, tstype: str) -> pd.DataFrame:
    """The statistics of a parcel by `time` (naive UTC) and band, else in the columns of the contract; may be empty.

    `why_not` says why the numbers of a moment are worth little, small or cut, as in `cards.observation`; else None.
    """
    import pandas as pd

    held = _held(parcel.aoi, parcel.year, parcel.pid, f"time_series_{tstype}.csv", parcel.ptype)
    if held:
        frame = pd.read_csv(held, index_col=0)
        if "hist" in frame:
            frame["hist"] = [ast.literal_eval(text) if isinstance(text, str) else {} for text in frame["hist"]]
    else:
        frame = get.time_series.by_pid(parcel.aoi, parcel.year, parcel.pid, tstype, parcel.ptype)
        frame = _with_unclassified(frame, parcel, tstype) if cards.get(tstype).classification else frame
    frame = frame.assign(time=pd.to_datetime(frame["date_part"].astype(float), unit="s"))
    frame = frame.assign(why_not=_not_observed(parcel, tstype, frame))
    return frame.assign(band=[band_called(band, cards.get(tstype)) for band in frame["band"]])


def _with_unclassified(frame: pd.DataFrame, parcel: Parcel, tstype: str) -> pd.DataFrame:
    """Also the observations that `get` leaves out since no pixel is classified; a server does not tell of them."""
    import pandas as pd

    source = sources.here()
    if not isinstance(source, sources.LakeSource):
        return frame
    whose = parcel.aoi, parcel.year, parcel.pid
    every = source.parcel_time_series(*whose, ptype=parcel.ptype, tstype=tstype, scl=False)
    rows = pd.DataFrame(every).merge(frame[["date_part", "band"]].assign(there=True), "left", ["date_part", "band"])
    missing = rows[rows["there"].isna()].drop(columns="there")
    return pd.concat([frame, missing.assign(hist=[{}] * len(missing))]) if len(missing) else frame


def _not_observed(parcel: Parcel, tstype: str, frame: pd.DataFrame) -> list[str | None]:
    """Why the numbers of each row are worth little; a server does not say which share was seen, only the pixels."""
    source = None if sources.is_server() else sources.here()
    if not isinstance(source, sources.LakeSource):
        return computing.too_small(frame)
    parcels = source.lake.parcel_set(parcel.aoi, parcel.year, parcel.ptype)
    key = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "pid": parcel.pid}
    rows = source.lake.query("time_series.shares", **key).to_pylist()
    reasons = {row["date_part"]: row["why_not"] for row in rows if row["card"] == tstype}
    return [reasons.get(moment) for moment in frame["date_part"]]


def weather(parcel: Parcel) -> pd.DataFrame:
    """The daily weather of a parcel: meteo_date, tmin, tmax, tmean (°C), prec (mm), and `time`; may be empty."""
    import pandas as pd

    held = _held(parcel.aoi, parcel.year, parcel.pid, "time_series_weather.csv", parcel.ptype)
    if held:
        frame = pd.read_csv(held, index_col=0)
    else:
        frame = get.time_series.weather(parcel.aoi, parcel.year, parcel.pid, parcel.ptype)
    return frame.assign(time=pd.to_datetime(frame["meteo_date"]))


def work(parcel: Parcel) -> list[Event]:
    """What was found to be done on a parcel: mowing, ploughing, sowing, harvest, by date; may be empty."""
    import pandas as pd

    found = sources.here().markers(parcel.aoi, parcel.year, parcel.pid, ptype=parcel.ptype)
    rows = pd.DataFrame(found, columns=["marker", "date_start", "date_main", "date_end"]).dropna()
    rows = rows[rows["marker"].isin(WORK)].sort_values("date_main")
    dates = rows[["date_start", "date_main", "date_end"]].apply(pd.to_datetime)
    return [Event(name, *days) for name, *days in zip(rows["marker"], *(dates[name] for name in dates), strict=True)]


# -- images -------------------------------------------------------------------------------------------------------


def chipsize_for(chosen: Iterable[Parcel]) -> int:
    """Metres a side of images in which the parcels fill about half of the width: 160 to 5120."""
    widest = max(parcel.widest for parcel in chosen)
    return int(min(max(np.ceil(1.6 * widest / 20) * 20, 160), LARGEST))


def images_of(
    parcel: Parcel, start: str | date, end: str | date, bands: Sequence[str], chipsize: int,
    screen: Classes = CLOUD_CLASSES, card: str = "s2",
) -> Images:  # fmt: skip
    """The images of a parcel from a first to a last day; clouds are counted inside its outline."""
    first, last = _days(start, end)
    folder = chip_folder(parcel, card)
    whose = parcel.aoi, parcel.year, parcel.pid

    def fetch(names: Sequence[str], begin: date, finish: date) -> None:
        get.chip_images.by_pid(*whose, str(begin), str(finish), names, chipsize, parcel.ptype, card=card)

    _fetch(folder, chipsize, fetch, bands, (first, last), card)
    shape = parcel.outline, parcel.epsg
    return _images(folder, (first, last), bands, (parcel.lon, parcel.lat, chipsize), screen, shape, card)


def images_at(
    lon: float, lat: float, start: str | date, end: str | date, bands: Sequence[str], chipsize: int,
    screen: Classes = CLOUD_CLASSES, card: str = "s2",
) -> tuple[Images, Path]:  # fmt: skip
    """The images of a place, and the folder where they are; clouds are counted in the whole image."""
    first, last = _days(start, end)
    folder = get.chip_images.folder_of(Workspace.here().temp / get.folders.of_location(lon, lat), card)

    def fetch(names: Sequence[str], begin: date, finish: date) -> None:
        get.chip_images.by_location(lon, lat, str(begin), str(finish), names, chipsize, card=card)

    _fetch(folder, chipsize, fetch, bands, (first, last), card)
    return _images(folder, (first, last), bands, (lon, lat, chipsize), screen, None, card), folder


def chip_folder(parcel: Parcel, card: str = "s2") -> Path:
    """Where the images of a parcel are."""
    return get.chip_images.folder_of(get.folders.place(parcel.aoi, parcel.year, parcel.pid, ""), card)


Fetch = Callable[[Sequence[str], date, date], None]


def _fetch(folder: Path, chipsize: int, fetch: Fetch, bands: Sequence[str], days: tuple[date, date], card: str) -> None:
    """Have `get` fetch what is missing, then mark what is there; without scene classes clouds are simply not known."""
    marks = [f"chipsize_{chipsize}", f"daterange_{days[0]}_{days[1]}"]
    lists = [f"images_list.{band}.csv" for band in bands]
    server = sources.is_server()
    if server and all((folder / name).exists() for name in [*marks, *lists]):
        return
    _in_parts(fetch, bands, *days)
    classes = cards.get(card).class_band
    if classes and classes not in bands:
        try:
            _in_parts(fetch, [classes], *days)
        except LakeError as error:
            log.warning("clouds are not known: %s", error)
    if folder.is_dir():
        for old in [*folder.glob("chipsize_*"), *folder.glob("daterange_*")]:
            old.unlink(missing_ok=True)
        for mark in marks:
            (folder / mark).touch()


def _in_parts(fetch: Fetch, bands: Sequence[str], first: date, last: date) -> None:
    """Fetch the images of some days: at once, or where those are too many for `get`, in halves."""
    try:
        fetch(bands, first, last)
    except NotFoundError as error:
        log.debug("no %s from %s to %s: %s", bands, first, last, error)
    except InvalidInputError:
        if first >= last:
            raise
        middle = first + (last - first) // 2
        _in_parts(fetch, bands, first, middle)
        _in_parts(fetch, bands, middle + timedelta(days=1), last)


def _days(start: str | date, end: str | date) -> tuple[date, date]:
    first, last = day_of(start), day_of(end)
    if last < first:
        raise InvalidInputError(f"the last day, {last}, comes before the first, {first}")
    return first, last


def months(start: str | date, end: str | date) -> list[tuple[date, date]]:
    """The days from a first to a last one, cut by month.

    Raises:
        InvalidInputError: no days, or the last comes before the first.
    """
    first, last = _days(start, end)
    found = []
    while first <= last:
        final = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        found.append((first, min(final, last)))
        first = final + timedelta(days=1)
    return found


def _images(
    folder: Path, days: tuple[date, date], bands: Sequence[str], place: tuple[float, float, int],
    screen: Classes, shape: tuple[shapely.Geometry, int] | None, card: str,
) -> Images:  # fmt: skip
    """The chips of a folder as images on one grid; those that lack a band are left out. Radar sees through clouds."""
    kind = cards.get(card)
    optical, class_band = kind.is_optical, kind.class_band or "SCL"
    pattern = "*.{}.tif" if optical else "*_{}.tif"
    files = {band: _moments(folder, pattern.format(band), days) for band in {*bands, class_band}}
    times = sorted(set.intersection(*(set(files[band]) for band in bands)))
    if not times:
        what = ", ".join(bands) if kind is S2 else f"{card} {', '.join(bands)}"
        raise NotFoundError(
            f"no images of {what} from {days[0]} to {days[1]} at longitude {place[0]:.4f}, latitude {place[1]:.4f}; "
            "ask for other days, or catalogue scenes with cbm-lake card2db"
        )
    epsg, transform, size = _grid([files[band][times[0]] for band in bands], *place)
    found = []
    inside = computing.mask(shape[0], shape[1], epsg, transform, size) if shape else None
    for moment in times:
        pixels = {band: _pixels(files[band][moment], epsg, transform, size) for band in bands}
        classes = files[class_band].get(moment)
        cloud = np.nan if optical else 0.0
        if classes is not None:
            cloud = computing.clouded(_pixels(classes, epsg, transform, size), inside, cards.screened(screen, kind))
        if any(band.any() for band in pixels.values()):
            found.append(Image(moment, pixels, cloud))
    return Images(epsg, transform, size, tuple(found))


def _moments(folder: Path, pattern: str, days: tuple[date, date]) -> dict[datetime, Path]:
    """The files of a band by moment."""
    found = {}
    for file in sorted(folder.glob(pattern)):
        moment = _moment(file)
        if moment and days[0] <= moment.date() <= days[1]:
            found[moment] = file
    return found


def _moment(file: Path) -> datetime | None:
    """When a chip was taken: as its product's name says."""
    match = _MOMENT.search(file.name)
    if match is None:
        log.warning("%s has no date in its name and is left out", file)
        return None
    return datetime.strptime(match[1] + (match[2] or "000000"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _grid(files: Sequence[Path], lon: float, lat: float, chipsize: int) -> tuple[int, Affine, int]:
    """Pixels of 10 m that fit those of the first of some chips, in a square round a place that all of them cover."""
    bounds = []
    for file in files:
        with _opened(file) as dataset:
            bounds.append(dataset.bounds)
            if file == files[0]:
                epsg, origin = dataset.crs.to_epsg(), dataset.transform
    x, y = transformer(4326, epsg).transform(lon, lat)
    size = max(1, round(chipsize / _PIXEL))
    left = origin.c + round((x - origin.c) / _PIXEL - size / 2) * _PIXEL
    top = origin.f - round((origin.f - y) / _PIXEL - size / 2) * _PIXEL
    # pixels of 20 m may begin or end 10 m off
    left, top = max(left, *(each.left for each in bounds)), min(top, *(each.top for each in bounds))
    across = min(each.right for each in bounds) - left, top - max(each.bottom for each in bounds)
    return epsg, Affine(_PIXEL, 0, left, 0, -_PIXEL, top), max(1, min(size, int(min(across) // _PIXEL)))


def _pixels(file: Path, epsg: int, transform: Affine, size: int) -> NDArray[Any]:
    """A chip in the pixels of a grid, the nearest of its own; 0 outside."""
    where = {"crs": f"EPSG:{epsg}", "transform": transform, "width": size, "height": size, "nodata": 0}
    with _opened(file) as dataset, WarpedVRT(dataset, **where) as turned:
        return np.asarray(turned.read(1))


def _opened(file: Path) -> Any:
    try:
        dataset = rasterio.open(file)
    except RasterioError as error:
        raise SourceError(f"{file} cannot be read: {error}; delete it, and it will be fetched again") from error
    limits.check_whole(str(file), (dataset.count, *dataset.shape), dataset.dtypes[0])
    return dataset


# -- backgrounds --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Background:
    """An orthophoto: red, green and blue, and where it lies in Web Mercator."""

    pixels: NDArray[np.uint8]
    bounds: tuple[float, float, float, float]
    name: str = ""
    """What it shows, as its file says: the tile server or sentinel; "" where the file says nothing."""
    caption: str = ""
    """The same with date and product, and instead of what it is there."""


def background(file: Path, asked: str = "") -> Background:
    """An orthophoto out of its file; `asked` is what was asked for.

    Raises:
        SourceError: it cannot be read.
    """
    with _opened(file) as dataset:
        bands = list(range(1, min(dataset.count, 3) + 1))
        pixels = np.broadcast_to(dataset.read(bands), (3, *dataset.shape))
        shown = dataset.tags()
        words = basemaps.caption(shown, asked)
        rgb = np.moveaxis(pixels, 0, -1).astype(np.uint8)
        return Background(rgb, tuple(dataset.bounds), shown.get("tms", ""), words)
