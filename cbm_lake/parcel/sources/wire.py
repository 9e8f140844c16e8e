"""Request and response formats of the REST interface, converted to and from domain objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import shapely
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from cbm_lake.cards import INDICES, Card, band_called, observation
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import limits
from cbm_lake.geo.areas import DEGREES
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.chips import Cutout
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.series import TimeSeries
from cbm_lake.parcel.sources.protocol import Columns
from cbm_lake.rasters import Grid

_STATISTICS: Final = ("count", "mean", "std", "min", "p25", "p50", "p75", "max")


def parcel(key: ParcelKey, answer: Columns) -> Parcel:
    """Parse a parcel; a geometry without coordinate system is in degrees unless its coordinates are far out of range.

    Raises:
        SourceError: the answer is not in that form.
    """
    try:
        row = {name: values[0] for name, values in answer.items()}
        geometry = json.loads(row["geom"])
        outline = shapely.from_geojson(json.dumps({name: geometry[name] for name in ("type", "coordinates")}))
        in_degrees = "crs" not in geometry and max(map(abs, outline.bounds)) <= 180
        epsg = DEGREES if in_degrees else int(row["srid"])
        area, lon, lat = float(row["area"]), float(row["clon"]), float(row["clat"])
        crop, code = row["cropname"] or None, row["cropcode"] and str(row["cropcode"])
        pid = str(row["pid"])
    except (LookupError, TypeError, ValueError, shapely.GEOSException) as error:
        raise SourceError(f"what the server declares of parcel {key.pid!r} is not understood: {error!r}") from error
    return Parcel(key.aoi, key.year, pid, key.ptype or None, crop, code, area, lon, lat, epsg, outline)


def series(parcel: Parcel, card: Card, answer: Columns) -> TimeSeries:
    """Pivot long rows of a server to one wide row per scene; a timestamp may have several."""
    scenes: dict[tuple[float, int], dict[str, Any]] = {}
    counts: Counter[tuple[float, str]] = Counter()
    classification = card.classification
    for row in _rows(answer):
        moment, band = float(row["date_part"]), band_called(str(row["band"]))
        number = counts[moment, band]
        counts[moment, band] += 1
        scene = scenes.setdefault((moment, number), {"obstime": datetime.fromtimestamp(moment, UTC)})
        scene |= {f"{band}_{name}": row[name] for name in _STATISTICS}
        if row.get("hist") and classification:
            scene[classification.column] = [row["hist"].get(str(value), 0) for value in classification.classes]
    measured = (*card.resolutions, *(index.column for index in INDICES.values()))
    bands = [band for band in measured if any(name == band for _, name in counts)]
    for scene in scenes.values():
        scene["why_not"] = _why_not(card, scene)
    fields = [("obstime", pa.timestamp("us", "UTC")), ("why_not", pa.string())]
    fields += [(classification.column, pa.list_(pa.int64()))] if classification else []
    fields += [(f"{band}_{name}", pa.float64()) for band in bands for name in _STATISTICS]
    ordered = [scenes[key] for key in sorted(scenes)]
    return TimeSeries(parcel, card, pa.Table.from_pylist(ordered, schema=pa.schema(fields)))


def _why_not(card: Card, scene: Mapping[str, Any]) -> str | None:
    """Whether a scene has too few pixels; servers do not report the observed share of a parcel.

    Of optical cards the fewest of the bands of the finest grid that have any count, else the most, as in a lake.
    """
    counts = {band: scene.get(f"{band}_count") or 0 for band in card.resolutions}
    metres = [card.resolutions[band] for band, count in counts.items() if count > 0]
    finest = [count for band, count in counts.items() if metres and count > 0 and card.resolutions[band] == min(metres)]
    pixels = (min if card.is_optical else max)(finest, default=0)
    return "small" if pixels < observation.LEAST_PIXELS else None


def _rows(answer: Columns) -> Iterator[dict[str, Any]]:
    for values in zip(*answer.values(), strict=True):
        yield dict(zip(answer, values, strict=True))


def cutout(obstime: datetime, band: str, name: str, content: bytes) -> Cutout:
    """Parse the GeoTIFF of a chip; its file name gives scene and band.

    Raises:
        SourceError: it cannot be read, or is too large to be read as a whole.
    """
    try:
        with MemoryFile(content) as file, file.open() as dataset:
            limits.check_whole(name, (dataset.count, *dataset.shape), dataset.dtypes[0])
            grid = Grid(dataset.crs.to_epsg(), dataset.transform, dataset.shape)
            pixels, tags = dataset.read(1), dataset.tags()
    except (RasterioError, AttributeError) as error:  # AttributeError: no coordinate system
        raise SourceError(f"what the server gives for {name} cannot be read: {error}; ask again") from error
    return Cutout(name.partition(".")[0], obstime, band, grid, pixels, tags)


def background_name(content: bytes, name: str) -> str:
    """Source name of a background; "" if it has none.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with MemoryFile(content) as file, file.open() as dataset:
            return str(dataset.tags().get("tms", ""))
    except RasterioError as error:
        raise SourceError(f"what the server gives for {name} cannot be read: {error}; ask again") from error


def links(answer: Columns) -> list[tuple[datetime, str]]:
    """Timestamps and links of chips."""
    try:
        moments = [datetime.strptime(moment[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for moment in answer["dates"]]
        return list(zip(moments, map(str, answer["chips"]), strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"the server's list of chips cannot be understood: {error}") from error


def ring(polygon: object) -> str:
    """Format a polygon for the server: lon_lat,lon_lat,…; commas, because a hyphen would read as a minus sign."""
    if isinstance(polygon, str) and not polygon.lstrip().startswith("{"):
        return polygon
    try:
        shape = polygon if isinstance(polygon, shapely.Geometry) else shapely.from_geojson(_text(polygon))
        points, holes = shapely.get_coordinates(shape.exterior), len(shape.interiors)
    except (TypeError, ValueError, AttributeError, shapely.GEOSException) as error:
        raise InvalidInputError(f"this is no polygon of one part: {error}") from error
    if holes:
        raise InvalidInputError(f"the polygon has {holes} holes, which the server cannot be told; ask for it without")
    return ",".join(f"{lon:.9f} {lat:.9f}" for lon, lat in points)


def _text(polygon: object) -> str:
    return polygon if isinstance(polygon, str) else json.dumps(polygon)


def name_of(link: str) -> str:
    """File name in a link."""
    name = link.rpartition("/")[2]
    if not name or name.startswith("."):
        raise SourceError(f"the server names a file {name!r}; that is none")
    return name
