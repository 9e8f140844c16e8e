"""Polygons of the parts of a parcel: the edge between two classes of pixels as lines, and the parcel cut along them.

A straight edge is the fitted line. Any other is the contour at which half of a pixel fell, interpolated between the
centres of pixels and simplified. Lines end at the outline of the parcel, whose own vertices stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import contourpy
import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from cbm_lake.geo.reprojection import Shapes, reprojected

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]
Metric: TypeAlias = Callable[[shapely.Geometry], shapely.Geometry]
Piece: TypeAlias = tuple[shapely.Polygon, bool]
"""A piece of a parcel, and whether it fell."""

_TRUST: Final = 0.6
"""Pixels from the centre of the next pixel of the parcel up to which a contour is believed: between two of them."""
_TOLERANCE: Final = 0.5
"""Pixels by which a contour may be simplified."""
_REACH: Final = 1e5
"""Pixels: longer than any parcel."""
_BACK: Final = 3.0
"""Pixels of a contour at its end that give the direction in which it goes on."""
_OVERSHOOT: Final = 0.01
"""Pixels by which an extended contour crosses the outline."""
_RESOLVED: Final = 0.01
"""Metres within which two lines are the same."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of one parcel in one event."""

    row: npt.NDArray[np.int32]
    col: npt.NDArray[np.int32]
    labels: Labels
    """1 where it fell, 0 where not, -1 where it is not known."""
    fallen: Floats
    """The share of each pixel that fell, 0 to 1; NaN where not known."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a parcel."""

    geometry: shapely.Polygon
    fell: bool
    area: float
    """In m², on the plane of the pixels."""
    pixels: int
    """Known pixels whose centres are inside."""
    edge: float
    """Length of its boundary inside the parcel, in metres."""


def parts(
    shape: shapely.Geometry,
    lines: Shapes,
    places: Floats,
    labels: Labels,
    smallest: float,
    metric: Metric,
) -> list[Part]:
    """The parcel cut along lines: parts that fell first, each from the largest; one or none where nothing is cut off.

    The parts do not overlap and together are the parcel: they share vertices along their edges, and those of the
    outline are its own. Where the outline is not valid, it is repaired first.

    Args:
        shape: of the parcel, in the coordinate system of the lines.
        lines: edges, which may go beyond the parcel.
        places: x and y of the centres of its pixels in that system, (pixels, 2).
        labels: of each pixel 1 where it fell, 0 where not, -1 where it is not known.
        smallest: area in m² below which a piece goes to its neighbour.
        metric: a geometry of that system in metres.
    """
    shape = shape if shape.is_valid else shapely.make_valid(shape, method="structure", keep_collapsed=False)
    faces = _faces(shape, lines)
    if len(faces) < 2:
        return []
    classified = labels >= 0
    pieces = _merged(_pieces(faces, _fell(faces, places[classified], labels[classified])), smallest, metric)
    if len({label for _, label in pieces}) < 2:
        return []
    ordered = sorted(pieces, key=lambda piece: (not piece[1], -piece[0].area))
    rim = shapely.buffer(metric(shape).boundary, _RESOLVED)
    return [
        _part(piece, label, metric(piece), int(shapely.contains_xy(piece, places[classified]).sum()), rim)
        for piece, label in ordered
    ]


def _part(piece: shapely.Polygon, fell: bool, measured: shapely.Polygon, pixels: int, rim: shapely.Geometry) -> Part:
    return Part(piece, fell, measured.area, pixels, measured.boundary.difference(rim).length)


def straight(angle: float, distance: float, pixels: Pixels) -> Shapes:
    """The line with that normal and distance (see `lines.fit`), in pixel coordinates."""
    normal, along = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    centre = np.array([pixels.col.mean(), pixels.row.mean()])
    foot = centre + (distance - centre @ normal) * normal + 0.5
    reach = np.hypot(np.ptp(pixels.col), np.ptp(pixels.row)) + 10
    return np.array([shapely.LineString([foot - reach * along, foot + reach * along])], object)


def contours(pixels: Pixels, shape: shapely.Geometry) -> Shapes:
    """The contours between what fell and what did not, in pixel coordinates, extended to the outline of the parcel.

    Args:
        pixels: of the parcel.
        shape: the parcel in pixel coordinates.
    """
    top, left = pixels.row.min() - 2, pixels.col.min() - 2
    grid = np.full((np.ptp(pixels.row) + 5, np.ptp(pixels.col) + 5), np.nan)
    grid[pixels.row - top, pixels.col - left] = _sharpened(pixels)
    nearest = distance_transform_edt(np.isnan(grid), return_distances=False, return_indices=True)
    generator = contourpy.contour_generator(z=grid[tuple(nearest)])
    tree = KDTree(np.column_stack([pixels.col, pixels.row]))
    lines = []
    for vertices in generator.lines(0.5):
        points = np.asarray(vertices, np.float64) + np.array([left, top])
        for piece in _trusted(points, tree):
            line = shapely.simplify(shapely.LineString(piece + 0.5), _TOLERANCE)
            lines.append(line if line.is_closed else _extended(line, shapely.LineString(piece + 0.5), shape))
    return np.array(lines, object)


def moved(shapes: Shapes, transform: Affine, source: int, target: int) -> Shapes:
    """Geometries in pixel coordinates as geometries in a coordinate system.

    Args:
        shapes: x is the column, y the row.
        transform: of the grid.
        source: coordinate system of the grid.
        target: that of the result.
    """
    placed = shapely.transform(shapes, lambda xy: mapped(transform, xy))
    return np.asarray(reprojected(placed, source, target))


def mapped(transform: Affine, xy: Floats) -> Floats:
    """Coordinates (n, 2) transformed."""
    a, b, c, d, e, f = tuple(transform)[:6]
    x, y = xy.T
    return np.column_stack([a * x + b * y + c, d * x + e * y + f])


def _sharpened(pixels: Pixels) -> Floats:
    """The shares that fell, 0 or 1 away from the edge, so that noise makes no contours of its own."""
    places = {(r, c): k for k, (r, c) in enumerate(zip(pixels.row.tolist(), pixels.col.tolist(), strict=True))}
    sharp = np.where(pixels.labels < 0, np.nan, pixels.labels).astype(np.float64)
    for (r, c), k in places.items():
        around = [places.get(position, -1) for position in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1))]
        if any(pixels.labels[j] == 1 - pixels.labels[k] for j in around if j >= 0) and pixels.labels[k] >= 0:
            sharp[k] = pixels.fallen[k]
    return sharp


def _trusted(points: Floats, tree: KDTree) -> list[Floats]:
    """The stretches of a contour that are near pixels of the parcel, each of two vertices or more."""
    near = tree.query(points)[0] <= _TRUST
    if near.all():
        return [points] if len(points) > 1 else []
    if (points[0] == points[-1]).all():  # start a closed contour where it is not believed
        start = int(np.argmin(near))
        points, near = np.roll(points[:-1], -start, axis=0), np.roll(near[:-1], -start)
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]]).astype(int)))
    return [points[a:b] for a, b in bounds.reshape(-1, 2) if b - a > 1]


def _extended(line: shapely.LineString, detailed: shapely.LineString, shape: shapely.Geometry) -> shapely.LineString:
    """A line with both ends extended straight to the outline of the parcel."""
    xy = shapely.get_coordinates(line)
    back = min(_BACK, detailed.length)
    first = _beyond(xy[0], detailed.interpolate(back), shape)
    last = _beyond(xy[-1], detailed.interpolate(detailed.length - back), shape)
    return shapely.LineString([*first, *xy, *last])


def _beyond(end: Floats, inner: shapely.Point, shape: shapely.Geometry) -> list[Floats]:
    """Where a line through `inner` that ends at `end` reaches the outline of the parcel; nothing if it is outside."""
    direction = end - shapely.get_coordinates(inner)[0]
    length = np.hypot(*direction)
    if not length or not shape.covers(shapely.Point(end)):
        return []
    ray = shapely.LineString([end, end + direction / length * _REACH])
    hits = shapely.get_coordinates(ray.intersection(shape.boundary))
    return [end + direction / length * (np.hypot(*(hits - end).T).min() + _OVERSHOOT)] if len(hits) else []


def _faces(shape: shapely.Geometry, lines: Shapes) -> list[shapely.Polygon]:
    """The pieces into which lines cut a polygon."""
    network = shapely.union_all([shape.boundary, *lines])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(network)))
    shapely.prepare(shape)
    return [face for face in faces if shape.contains(face.representative_point())]


def _fell(faces: list[shapely.Polygon], places: Floats, labels: Labels) -> list[bool]:
    """Whether most pixels of each face fell; of one without pixels the next pixel decides."""
    tree = KDTree(places)
    fell = []
    for face in faces:
        inside = shapely.contains_xy(face, places)
        if not inside.any():
            inside = np.array([tree.query(shapely.get_coordinates(face.representative_point())[0])[1]])
        fell.append(bool(labels[inside].mean() > 0.5))
    return fell


def _pieces(faces: list[shapely.Polygon], fell: list[bool]) -> list[Piece]:
    """The faces, those united that are alike and touch along a line."""
    return [
        (piece, label)
        for label in (True, False)
        for piece in shapely.get_parts(
            shapely.union_all([face for face, fallen in zip(faces, fell, strict=True) if fallen == label])
        )
    ]


def _merged(pieces: list[Piece], smallest: float, metric: Metric) -> list[Piece]:
    """The pieces once those below an area are of their neighbour's class; what stands apart stays as it is."""
    for number, (piece, _) in sorted(enumerate(pieces), key=lambda item: float(item[1][0].area)):
        if metric(piece).area >= smallest:
            break
        labels = [label != (at == number) for at, (_, label) in enumerate(pieces)]
        united = _pieces([piece for piece, _ in pieces], labels)
        if len(united) < len(pieces):
            return _merged(united, smallest, metric)
    return pieces
