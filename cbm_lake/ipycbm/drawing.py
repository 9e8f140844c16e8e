"""Rasterizes all parcels of a country and draws curves fast enough to follow the pointer.

The map's picture is made here and not in the browser: no geometry leaves the kernel, half a million parcels need no
graphics card, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from affine import Affine
from numpy.typing import NDArray

from cbm_lake.cards import palette
from cbm_lake.errors import NotFoundError
from cbm_lake.geo.reprojection import reprojected, transformer
from cbm_lake.zonal.spans import build_index

Box = tuple[float, float, float, float]
"""West, south, east, north."""

_WEB: Final = 3857
_UNKNOWN: Final = (150, 150, 150, 110)
_OPAQUE: Final = 210
_EDGE_LINE, _SHADOW = (255, 255, 255, 235), (20, 26, 34, 150)
"""Edges of parcels, and what sets them off from a bright picture."""
_CLASSES: Final = len(palette.CURVES) - 1
"""Words that get a colour of their own; the others share the last one."""
_RAMP: Final = np.array([(68, 1, 84), (65, 68, 135), (42, 120, 142), (34, 168, 132), (122, 209, 81), (253, 231, 37)])
"""Colours from low to high: viridis of matplotlib at every fifth of its length."""
_TRIMMED: Final = (2, 98)
"""Percentiles between which the colours of numbers run."""
_SMALL: Final = 2.0
"""Pixels; parcels that are narrower are drawn as one."""


@dataclass(frozen=True, eq=False)
class Geometries:
    """Parcel geometries in Web Mercator (EPSG:3857)."""

    pids: pa.Array
    shapes: NDArray[np.object_]

    @classmethod
    def of(cls, rows: pa.Table) -> Geometries:
        """Geometries from rows with pid, geometry (WKB) and epsg, which may differ.

        Raises:
            NotFoundError: there are none.
        """
        if not rows.num_rows:
            raise NotFoundError("there are no parcels to be drawn; load some first, in the catalogue")
        shapes = shapely.from_wkb(rows["geometry"].to_numpy())
        codes = rows["epsg"].to_numpy()
        for code in np.unique(codes):
            shapes[codes == code] = reprojected(shapes[codes == code], int(code), _WEB)
        return cls(rows["pid"].combine_chunks(), shapes)

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """West, south, east, north of each; NaN where a parcel has no geometry."""
        boxes: NDArray[np.float64] = shapely.bounds(self.shapes)
        return boxes

    @property
    def extent(self) -> Box:
        """Bounding box of all parcels in degrees."""
        (west, east), (south, north) = _degrees(*np.reshape(shapely.total_bounds(self.shapes), (2, 2)).T)
        return west, south, east, north

    def at(self, lon: float, lat: float) -> str | None:
        """The parcel at a position in degrees, the smallest if several overlap."""
        x, y = _metres(lon, lat)
        west, south, east, north = self.boxes.T
        near = np.flatnonzero((west <= x) & (x <= east) & (south <= y) & (y <= north))
        met = near[shapely.intersects(self.shapes[near], shapely.Point(x, y))]
        if not len(met):
            return None
        pid: str = self.pids[int(met[np.argmin(shapely.area(self.shapes[met]))])].as_py()
        return pid

    def painted(self, view: Box, width: int, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Rasterize the parcels within a map view (degrees).

        Args:
            view: box in degrees.
            width: pixels; the height follows from the view.
            colours: (parcels, 4), red, green, blue, opacity of each.

        Returns:
            (y, x, 4), the parts between parcels transparent.
        """
        west, south, east, north = (float(value) for corner in (view[:2], view[2:]) for value in _metres(*corner))
        pixel = max(east - west, 1e-6) / width
        height = min(max(round((north - south) / pixel), 1), 4 * width)
        return self._of_owners(self.owners((west, north), pixel, (height, width)), colours)

    def outlined(
        self, corner: tuple[float, float], pixel: float, size: tuple[int, int], colours: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Rasterize the parcels, with a pale line at their edges and a dark one beside it.

        Args:
            corner: west and north of the picture in Web Mercator.
            pixel: side of its pixels in units of that.
            size: its rows and columns.
            colours: (parcels, 4), red, green, blue, opacity of each inside of its edges.

        Returns:
            (y, x, 4), the parts between parcels transparent.
        """
        owners = self.owners(corner, pixel, size)
        picture = self._of_owners(owners, colours)
        edge = _edges(owners)
        shadow = np.zeros_like(edge)
        shadow[1:, 1:] = edge[:-1, :-1]
        picture[shadow] = _SHADOW
        picture[edge] = _EDGE_LINE
        return picture

    def owners(self, corner: tuple[float, float], pixel: float, size: tuple[int, int]) -> NDArray[np.int32]:
        """The number of the parcel at each pixel, -1 where there is none; see `outlined`."""
        west, north = corner
        height, width = size
        owners = np.full(height * width, -1, np.int32)
        xmin, ymin, xmax, ymax = self.boxes.T
        inside = (xmin <= west + width * pixel) & (xmax >= west) & (ymin <= north) & (ymax >= north - height * pixel)
        visible = np.flatnonzero(inside)
        self._dots(visible, (west, north, pixel), owners, width)
        large = visible[(xmax - xmin)[visible] > _SMALL * pixel]
        index = build_index(self.shapes[large], Affine(pixel, 0, west, 0, -pixel, north), (height, width))
        owner = np.repeat(large, np.diff(index.pixel_offsets))
        start = index.row.astype(np.int64) * width + index.col
        length = index.length.astype(np.int64)
        before = np.cumsum(length) - length
        owners[np.repeat(start - before, length) + np.arange(length.sum())] = owner
        return owners.reshape(height, width)

    @staticmethod
    def _of_owners(owners: NDArray[np.int32], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The colour of each pixel's parcel."""
        nothing = np.zeros((1, 4), np.uint8)
        return np.concatenate([colours, nothing])[owners]

    def _dots(
        self,
        visible: NDArray[np.intp],
        corner: tuple[float, float, float],
        owners: NDArray[np.int32],
        width: int,
    ) -> None:
        """One pixel in the middle of each parcel, so that small ones stay visible."""
        west, north, pixel = corner
        xmin, ymin, xmax, ymax = self.boxes[visible].T
        column = np.floor(((xmin + xmax) / 2 - west) / pixel).astype(np.int64)
        row = np.floor((north - (ymin + ymax) / 2) / pixel).astype(np.int64)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < len(owners) // width)
        owners[row[inside] * width + column[inside]] = visible[inside]


def _edges(owners: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels that are of another parcel, or of none, than the one below or to the right."""
    edge = np.zeros(owners.shape, bool)
    edge[:-1] |= owners[:-1] != owners[1:]
    edge[:, :-1] |= owners[:, :-1] != owners[:, 1:]
    return edge


@dataclass(frozen=True)
class Colouring:
    """A colour for each parcel, and the legend."""

    colours: NDArray[np.uint8]
    """(parcels, 4)."""
    key: Sequence[tuple[str, str]]
    """What a colour says, and it as HTML writes it."""


def coloured(values: pa.Array | pa.ChunkedArray) -> Colouring:
    """Colours by numbers, from low to high, or by categories, of which the most frequent get their own."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind = values.type
    is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    return _by_number(values) if is_number else _by_word(pc.cast(values, pa.string()))


def _by_number(values: pa.Array) -> Colouring:
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    valid = np.isfinite(numbers)
    low, high = np.percentile(numbers[valid], _TRIMMED) if valid.any() else (0.0, 1.0)
    share = np.clip((np.where(valid, numbers, low) - low) / ((high - low) or 1), 0, 1)
    steps = np.linspace(0, 1, len(_RAMP))
    colours = np.full((len(numbers), 4), _OPAQUE, np.uint8)
    for band in range(3):
        colours[:, band] = np.interp(share, steps, _RAMP[:, band])
    colours[~valid] = _UNKNOWN
    key = [(f"{low + step * (high - low):.4g}", _written(colour)) for step, colour in zip(steps, _RAMP, strict=True)]
    return Colouring(colours, [*key, *_nothing(valid)])


def _by_word(words: pa.Array) -> Colouring:
    counted = sorted(
        (row for row in pc.value_counts(words).to_pylist() if row["values"] is not None),
        key=lambda row: (-row["counts"], row["values"]),
    )
    named = [row["values"] for row in counted[:_CLASSES]]
    shades = np.array([(*bytes.fromhex(colour[1:]), _OPAQUE) for colour in palette.CURVES] + [_UNKNOWN], np.uint8)
    position = pc.index_in(words, pa.array(named, pa.string())).to_numpy(zero_copy_only=False)
    valid = words.is_valid().to_numpy(zero_copy_only=False)
    number = np.where(valid, np.where(np.isnan(position), _CLASSES, position), len(palette.CURVES)).astype(np.int64)
    key = list(zip(named, palette.CURVES, strict=False))
    others = len(counted) - len(named)
    if others:
        key.append((f"{others:,} others", palette.CURVES[-1]))
    return Colouring(shades[number], [*key, *_nothing(valid)])


def _nothing(valid: NDArray[np.bool_]) -> list[tuple[str, str]]:
    return [] if valid.all() else [("not known", _written(np.array(_UNKNOWN)))]


def _written(colour: NDArray[np.uint8]) -> str:
    return f"#{bytes(colour[:3].tolist()).hex()}"


def key(colouring: Colouring) -> str:
    """Legend as HTML."""
    box = "display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 12px; background:"
    return " ".join(f'<span style="{box} {colour}"></span>{html.escape(word)}' for word, colour in colouring.key)


# -- curves -----------------------------------------------------------------------------------------------------------

_WIDE, _HIGH, _EDGE = 640, 190, 34
"""Pixels: size of a curve, and margins for text."""


def curve(times: Sequence[datetime], values: Sequence[float], pale: Sequence[bool]) -> str:
    """NDVI time series as SVG; pale observations are excluded from the line."""
    first, last = min(times).timestamp(), max(times).timestamp()

    def at(timestamp: datetime, value: float) -> tuple[float, float]:
        across = (timestamp.timestamp() - first) / ((last - first) or 1)
        return _EDGE + across * (_WIDE - 2 * _EDGE), _HIGH - 22 - min(max(value, -0.2), 1) / 1.2 * (_HIGH - 40) - 22

    points = [at(*one) for one in zip(times, values, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for (x, y), cloudy in zip(points, pale, strict=True) if not cloudy)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{palette.EDGE if cloudy else palette.NDVI}">'
        f"<title>{timestamp:%Y-%m-%d}: {value:.3f}</title></circle>"
        for (x, y), timestamp, value, cloudy in zip(points, times, values, pale, strict=True)
    )
    levels = "".join(_level(at(times[0], value)[1], f"{value:g}") for value in (0, 0.5, 1))
    ends = _word(_EDGE, _HIGH - 4, f"{min(times):%Y-%m-%d}", "start")
    ends += _word(_WIDE - _EDGE, _HIGH - 4, f"{max(times):%Y-%m-%d}", "end")
    curve_line = f'<polyline points="{line}" fill="none" stroke="{palette.NDVI}" stroke-width="1.4"/>'
    return f'<svg viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" height="{_HIGH}">{levels}{curve_line}{dots}{ends}</svg>'


def _level(y: float, label: str) -> str:
    line = f'<line x1="{_EDGE}" x2="{_WIDE - _EDGE}" y1="{y:.1f}" y2="{y:.1f}" stroke="{palette.GRID}"/>'
    return line + _word(_EDGE - 6, y + 4, label, "end")


def _word(x: float, y: float, label: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y:.1f}" font-size="11" fill="{palette.PALE}" text-anchor="{anchor}">{label}</text>'


def _metres(lon: float, lat: float) -> tuple[float, float]:
    """Position in Web Mercator, clipped to its extent."""
    x, y = transformer(4326, _WEB).transform(min(max(lon, -180), 180), min(max(lat, -85.06), 85.06))
    return float(x), float(y)


def _degrees(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    lon, lat = transformer(_WEB, 4326).transform(x, y)
    return lon.tolist(), lat.tolist()
