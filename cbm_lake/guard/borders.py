"""The displacement of an image against the declared borders: edges between neighbouring parcels that differ.

Near the border of two parcels A and B a pixel mixes both: I = b + (a - b) F(s), where a and b are the means of the
parcels' inner pixels, s is the distance of the pixel's centre from the border (positive in A), and F the response of
the sensor to an edge, here that of a Gaussian point spread. An image that is displaced by d has F(s - n . d), with the
border's normal n: least squares over all pixels near borders give d. Each border has one vote, so that a border that
was drawn wrongly, or a hedge on it, is one among many; weights are iterated (Huber), and the standard error is that of
the scatter of borders. Half of what lies between two parcels (a track, a ditch) is given to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine

from cbm_lake.guard.tilesums import Mask
from cbm_lake.guard.voting import agreed
from cbm_lake.zonal import build_index
from cbm_lake.zonal.compiled import Floats, Ints

Shapes: TypeAlias = npt.NDArray[np.object_]
Image: TypeAlias = npt.NDArray[np.number]

FEWEST: Final = 10
"""Borders that an estimate needs."""
_GAP: Final = 0.8
"""Pixels between two parcels that are neighbours."""
_NEIGHBOURS: Final = 10
"""Points on boundaries among which one of another parcel is sought."""
_STEP: Final = 0.5
"""Pixels from one point on a border to the next."""
_REACH: Final = 2.0
"""Pixels from the border that are looked at."""
_DEEP: Final = 1.2
"""Pixels that both parcels extend at least from their border."""
_NEAR: Final = 1.5
"""Pixels from the displaced border that count."""
_SPREAD: Final = 0.6
"""Standard deviation of the point spread in pixels: that of a pixel (0.29) and of Sentinel-2's optics."""
_INNER: Final = 0.75
"""Pixels from its edge to where a parcel's mean is taken."""
_FEWEST_INNER: Final = 6
_CONTRAST: Final = 2.0
"""Smallest difference of the parcels at a border, in standard deviations of their inner pixels."""
_STEPS: Final = 6
_HUBER: Final = 1.3
_MEDIAN: Final = 0.6745
"""Median of a normal misfit, in standard deviations."""
_ROUNDS: Final = 10
"""Of weighing borders."""
_MOST: Final = 150
"""Borders that are looked at; more tell hardly more."""
FLOOR: Final = 0.05
"""Standard error in pixels that no estimate is below: the point spread and the straightness of borders are assumed."""
_FARTHEST: Final = 3.0
"""Largest displacement in pixels."""


class Votes(NamedTuple):
    """What borders say."""

    right: float
    """Pixels eastwards."""
    down: float
    """Pixels southwards."""
    error: float
    """Standard error of either, in pixels."""
    borders: int


@dataclass(frozen=True)
class Borders:
    """Pixels of an image near borders, and inner pixels of parcels."""

    row: Ints
    col: Ints
    distance: Floats
    """From the border, in pixels, positive in parcel `first`."""
    right: Floats
    down: Floats
    """The border's normal, of length 1, into parcel `first`."""
    first: Ints
    second: Ints
    border: Ints
    """Number of the border that the pixel is at."""
    inner: tuple[Ints, Ints, Ints]
    """Row, column and parcel of each inner pixel."""
    parcels: int


class _Points(NamedTuple):
    """Points midway between two parcels, in pixels (right, down)."""

    xy: Floats
    normal: Floats
    first: Ints
    second: Ints


def trace(shapes: Shapes, shape: tuple[int, int]) -> Borders:
    """The borders of parcels in the pixels of an image.

    Args:
        shapes: polygons, valid, in pixels (right, down) from the image's corner.
        shape: rows and columns of the image.
    """
    shapely.prepare(shapes)
    return _near(shapes, _midway(shapes, _edges(shapes)), shape)


def _edges(shapes: Shapes) -> tuple[Floats, Floats, Ints]:
    """Points along the boundaries of all parcels, normals outwards, and of which parcel each is."""
    polygons, owner = shapely.get_parts(shapes, return_index=True)
    areal = shapely.area(polygons) > 0
    polygons, owner = polygons[areal], owner[areal]
    rings, polygon = shapely.get_rings(shapely.orient_polygons(polygons), return_index=True)
    xy, ring = shapely.get_coordinates(shapely.segmentize(rings, _STEP), return_index=True)
    same = ring[1:] == ring[:-1]
    along, middle, ring = (xy[1:] - xy[:-1])[same], (0.5 * (xy[1:] + xy[:-1]))[same], ring[:-1][same]
    length = np.hypot(*along.T)
    long = length > 0.1 * _STEP
    along, middle, length = along[long], middle[long], length[long]
    # shells run counter-clockwise in these coordinates, holes clockwise: the parcel lies to the left
    return middle, np.column_stack([along[:, 1], -along[:, 0]]) / length[:, None], owner[polygon[ring[long]]]


def _midway(shapes: Shapes, edges: tuple[Floats, Floats, Ints]) -> _Points:
    """The points of edges that face another parcel, moved to the middle between both."""
    from scipy.spatial import KDTree

    xy, normal, owner = edges
    distance, near = KDTree(xy).query(xy, k=min(_NEIGHBOURS, len(xy)), distance_upper_bound=_GAP + _STEP)
    foreign = np.isfinite(distance)
    foreign &= owner[np.where(foreign, near, 0)] != owner[:, None]
    at = np.flatnonzero(foreign.any(axis=1))
    facing_point = near[at, foreign[at].argmax(axis=1)]
    other = owner[facing_point]
    gap = np.abs(((xy[facing_point] - xy[at]) * normal[at]).sum(axis=1))
    at, other, gap = at[gap <= _GAP], other[gap <= _GAP], gap[gap <= _GAP]
    middle = xy[at] + 0.5 * gap[:, None] * normal[at]
    deep, wide = _DEEP * normal[at], 0.5 * gap[:, None] * normal[at]
    facing = shapely.contains_xy(shapes[other], *(middle + wide + deep).T)
    facing &= shapely.contains_xy(shapes[owner[at]], *(middle - wide - deep).T)
    middle, inwards = middle[facing], -normal[at][facing]
    own, other = owner[at][facing], other[facing]
    swapped = own > other
    first, second = np.where(swapped, other, own), np.where(swapped, own, other)
    return _Points(middle, np.where(swapped[:, None], -inwards, inwards), first, second)


def _near(shapes: Shapes, points: _Points, shape: tuple[int, int]) -> Borders:
    """The pixels near these points: each belongs to the nearest one, and lies in one of its two parcels or between."""
    from scipy.spatial import KDTree

    row, col = _pixels_around(points.xy, shape)
    centres = np.column_stack([col, row]) + 0.5
    if not len(points.xy):
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return Borders(whole, whole, real, real, real, whole, whole, whole, _inner(shapes, shape), len(shapes))
    distance, nearest = KDTree(points.xy).query(centres, distance_upper_bound=_REACH)
    there = np.isfinite(distance)
    row, col, centres, nearest = row[there], col[there], centres[there], nearest[there]
    offset, normal = centres - points.xy[nearest], points.normal[nearest]
    across = (offset * normal).sum(axis=1)
    beside = np.abs(offset[:, 0] * normal[:, 1] - offset[:, 1] * normal[:, 0]) <= _STEP
    side = np.where(across > 0, points.first[nearest], points.second[nearest])
    beside &= (np.abs(across) <= _GAP / 2) | shapely.contains_xy(shapes[side], *centres.T)
    row, col, across, nearest = row[beside], col[beside], across[beside], nearest[beside]
    first, second = points.first[nearest], points.second[nearest]
    names, border = np.unique(first * len(shapes) + second, return_inverse=True)
    sampled = np.zeros(len(names), bool)
    sampled[np.linspace(0, len(names) - 1, min(len(names), _MOST)).round().astype(int)] = True
    used = sampled[border]
    row, col, across, nearest, border = row[used], col[used], across[used], nearest[used], border[used]
    first, second = first[used], second[used]
    right, down = points.normal[nearest].T
    return Borders(
        row, col, across, right, down, first, second, border.astype(np.int64), _inner(shapes, shape), len(shapes)
    )


def _pixels_around(xy: Floats, shape: tuple[int, int]) -> tuple[Ints, Ints]:
    """The pixels of an image within reach of points."""
    from scipy import ndimage

    near = np.zeros(shape, bool)
    col, row = np.floor(xy).astype(np.int64).T
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    near[row[inside], col[inside]] = True
    rows, cols = np.nonzero(ndimage.binary_dilation(near, np.ones((3, 3)), iterations=int(np.ceil(_REACH))))
    return rows.astype(np.int64), cols.astype(np.int64)


def _inner(shapes: Shapes, shape: tuple[int, int]) -> tuple[Ints, Ints, Ints]:
    """The pixels well inside each parcel."""
    index = build_index(shapely.buffer(shapes, -_INNER, quad_segs=2), Affine(1, 0, 0, 0, 1, 0), shape)
    span = np.repeat(np.arange(len(index.length)), index.length)
    first = np.cumsum(index.length) - index.length
    col = index.col[span] + np.arange(len(span)) - first[span]
    parcel = np.repeat(np.arange(len(shapes)), np.diff(index.pixel_offsets))
    return index.row[span].astype(np.int64), col.astype(np.int64), parcel


# -- the estimate -----------------------------------------------------------------------------------------------------


class _Sample(NamedTuple):
    """Pixels near borders in one band."""

    value: Floats
    """(I - b) / (a - b): 0 in the second parcel, 1 in the first."""
    weight: Floats
    distance: Floats
    right: Floats
    down: Floats
    border: Ints


def vote(
    images: Sequence[Image], clear: Mask, borders: Borders, start: tuple[float, float] = (0.0, 0.0)
) -> Votes | None:
    """By how much images of one scene are displaced against the borders; None where too few differ and are clear.

    Args:
        images: bands, (rows, columns).
        clear: the pixels that count in all of them.
        borders: of the parcels, see `trace`.
        start: where to begin, (right, down) in pixels; whole pixels are moved, fractions are found.
    """
    right, down = round(start[0]), round(start[1])
    samples = [_sample(image, clear, borders, (right, down)) for image in images]
    parts = _Sample(*(np.concatenate(values) for values in zip(*samples, strict=True)))
    numbers, border = np.unique(parts.border, return_inverse=True)
    if len(numbers) < FEWEST:
        return None
    estimate = _fit(parts._replace(border=border), len(numbers))
    if estimate is None:
        return None
    moved, error = estimate
    return Votes(float(moved[0]) + right, float(moved[1]) + down, max(error, FLOOR), len(numbers))


def _sample(image: Image, clear: Mask, borders: Borders, moved: tuple[int, int]) -> _Sample:
    """The pixels of one band at borders between parcels that differ."""
    means, spreads = _means(image, clear, borders, moved)
    row, col, inside = _moved(borders.row, borders.col, moved, clear.shape)
    contrast = means[borders.first] - means[borders.second]
    spread = np.maximum(np.maximum(spreads[borders.first], spreads[borders.second]), 1)
    counts = inside & clear[row, col] & (np.abs(contrast) > _CONTRAST * spread)
    contrast, spread = contrast[counts], spread[counts]
    value = (image[row, col][counts].astype(np.float64) - means[borders.second][counts]) / contrast
    weight = np.minimum((contrast / spread) ** 2, 25)
    return _Sample(
        value, weight, borders.distance[counts], borders.right[counts], borders.down[counts], borders.border[counts]
    )


def _moved(row: Ints, col: Ints, moved: tuple[int, int], shape: tuple[int, ...]) -> tuple[Ints, Ints, Mask]:
    """Where pixels are in an image that is displaced by whole pixels, and whether that is inside."""
    row, col = row + moved[1], col + moved[0]
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    return np.where(inside, row, 0), np.where(inside, col, 0), inside


def _means(image: Image, clear: Mask, borders: Borders, moved: tuple[int, int]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each parcel's inner pixels; NaN where fewer than enough are clear."""
    row, col, inside = _moved(borders.inner[0], borders.inner[1], moved, clear.shape)
    counts = inside & clear[row, col]
    values, parcel = image[row, col][counts].astype(np.float64), borders.inner[2][counts]
    n, total, squares = (np.bincount(parcel, weights, borders.parcels) for weights in (None, values, values * values))
    n = np.where(n < _FEWEST_INNER, np.nan, n)
    return total / n, np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0))


def _fit(sample: _Sample, count: int) -> tuple[Floats, float] | None:
    """The displacement on which borders agree, (right, down), and its standard error."""
    moved = np.zeros(2)
    for _ in range(_STEPS):
        sums = _normal(sample, moved, count)
        step, error = _agree(sums)
        moved = moved + step
        if not np.isfinite([error, *moved]).all() or np.abs(moved).max() > _FARTHEST:
            return None
        if np.abs(step).max() < 0.01:
            break
    return moved, error


def _normal(sample: _Sample, moved: Floats, count: int) -> Floats:
    """Of each border the sums xx, yy, xy, xr, yr over the derivatives x and y of the model and its residual r."""
    from scipy.special import ndtr

    off = sample.distance - sample.right * moved[0] - sample.down * moved[1]
    residual = sample.value - ndtr(off / _SPREAD)
    slope = -np.exp(-0.5 * (off / _SPREAD) ** 2) / (_SPREAD * np.sqrt(2 * np.pi))
    weight = np.where(np.abs(off) <= _NEAR, sample.weight, 0)
    x, y = slope * sample.right, slope * sample.down
    products = (x * x, y * y, x * y, x * residual, y * residual)
    return np.stack([np.bincount(sample.border, weight * product, count) for product in products])


def _agree(sums: Floats) -> tuple[Floats, float]:
    """The step on which borders agree, each with one vote, and its standard error."""
    strength = sums[0] + sums[1]
    votes = 1 / (1 + strength / np.median(strength[strength > 0])) if (strength > 0).any() else strength
    scales = np.tile(1 / np.maximum(strength, 1e-9), (2, 1))
    right, down, error = agreed(sums, votes, scales, _HUBER / _MEDIAN, _ROUNDS)
    return np.array([right, down]), error
