"""Plots of a check: map of all parcels, and one parcel with its clusters over the raster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.cards import palette
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.foi import components, tracing
from cbm_lake.foi.parcels import Parcels
from cbm_lake.foi.result import Foi
from cbm_lake.foi.survey import Survey, buffered, reproject, survey
from cbm_lake.geo.vectors import Geometries
from cbm_lake.show.style import NotebookPage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from matplotlib.path import Path

_CROWD: Final = 2000
"""On maps of more parcels they have no white edges: nothing else would be seen of them."""
_FINEST: Final = 300
"""Parcels that are a smaller part of a map's width are drawn with thick edges."""
_MARGIN: Final = 4
"""Pixels that are shown round a parcel."""
_MEANING: Final = {"foi_h": ("heterogeneous", "homogeneous"), "foi_c": ("several classes", "one class at most")}


def plot_map(found: Foi, by: Literal["foi_h", "foi_c"] = "foi_h") -> Figure:
    """Plot all parcels coloured by foi_h or foi_c; skipped ones are grey."""
    from matplotlib.patches import Patch

    if by not in _MEANING:
        raise InvalidInputError(f"there is no map of {by!r}; choose foi_h or foi_c")
    flags = np.asarray(pc.fill_null(found.table[by], -1))
    figure = NotebookPage(figsize=(9, 8), layout="constrained")
    axes = figure.subplots()
    names = {0: (_MEANING[by][1], palette.BLUE), 1: (_MEANING[by][0], palette.RED), -1: ("skipped", palette.EDGE)}
    xmin, ymin, xmax, ymax = shapely.total_bounds(found.source.geometries)
    usual = np.nanmedian(np.sqrt(shapely.area(found.source.geometries)))
    tiny = usual < max(xmax - xmin, ymax - ymin) / _FINEST  # then nothing would be seen but by its edge
    patches = []
    for flag, (name, colour) in names.items():
        flagged = found.source.geometries[flags == flag]
        edge, width = (colour, 3) if tiny else ("white" if found.parcels <= _CROWD else colour, 0.2)
        _draw(axes, flagged, facecolor=colour, edgecolor=edge, linewidth=width, zorder=flag + 2)
        patches.append(Patch(color=colour, label=f"{name} ({len(flagged):,})"))
    axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax), aspect="equal", title=f"{found.name}: {by}")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.tick_params(labelsize=8)
    axes.set_xlabel(found.source.crs.name if found.source.crs else "unknown coordinate system", fontsize=8)
    axes.legend(handles=patches, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_clusters(found: Foi, pid: str | int) -> Figure:
    """Plot the raster around a parcel, its geometry (dashed: with the buffer), and its clusters.

    Args:
        found: the check.
        pid: the parcel's identifier.

    Raises:
        NotFoundError: no such parcel, or it lies off the raster.
    """

    row, parcel = _one(found, pid)
    geometry = reproject(parcel, found.raster.crs)
    inner = buffered(parcel, found.raster, found.settings.buffer)
    pixels = survey(inner, found.raster, found.classes, zero_counts=found.settings.zero_counts)
    figure = NotebookPage(figsize=(9, 6.5), layout="compressed")
    axes = figure.subplots()
    _draw_raster(axes, found, geometry[0], pid)
    _draw(axes, geometry, facecolor="none", edgecolor=palette.INK, linewidth=2)
    if found.settings.buffer:
        _draw(axes, inner, facecolor="none", edgecolor=palette.INK, linewidth=1.2, linestyle="--")
    _draw_clusters(axes, found, pixels)
    _name_classes(axes, found, pixels.counts[0])
    verdicts = {name: "skipped" if row[name] is None else row[name] for name in ("foi_h", "foi_c")}
    axes.set_title(f"parcel {pid}: foi_h {verdicts['foi_h']}, foi_c {verdicts['foi_c']}", color=palette.INK)
    axes.tick_params(labelsize=8)
    axes.ticklabel_format(useOffset=False, style="plain")
    figure.draw_without_rendering()  # makes room for the labels, of which the first drawing knows too late
    return figure


def _one(result: Foi, pid: str | int) -> tuple[dict[str, int | None], Parcels]:
    """The parcel's row of the result, and the parcel alone."""
    rows = np.flatnonzero(np.asarray(pc.equal(result.source.ids.cast(pa.string()), str(pid)).fill_null(False)))
    if not len(rows):
        raise NotFoundError(f"{result.source.name} has no parcel {pid!r}; its identifiers are in its first column")
    source, position = result.source, rows[:1]
    return (
        result.table.select(["foi_h", "foi_c"]).slice(int(position[0]), 1).to_pylist()[0],
        Parcels(source.name, source.columns.take(position), source.geometries[position], source.crs),
    )


def _draw_raster(axes: Axes, result: Foi, geometry: shapely.Geometry, pid: str | int) -> None:
    """The classes round the geometry, each in its colour; 0 and nodata stay white."""
    raster = result.raster
    if geometry is None or not geometry.intersects(shapely.box(*raster.bounds)):
        raise NotFoundError(f"parcel {pid} lies off the raster {raster.path}; there is nothing to show")
    xmin, ymin, xmax, ymax = geometry.bounds
    columns, rows = ~raster.transform * (np.array([xmin, xmax]), np.array([ymax, ymin]))
    first = [max(int(min(edges)) - _MARGIN, 0) for edges in (rows, columns)]
    last = [min(int(max(edges)) + 1 + _MARGIN, size) for edges, size in zip((rows, columns), raster.shape, strict=True)]
    pixels = raster.window(first[0], first[1], last[0] - first[0], last[1] - first[1])
    codes = np.full(pixels.shape, np.nan)
    for code, value in enumerate(result.classes):
        if value or result.settings.zero_counts:
            codes[pixels == value] = code
    (x, y), (far_x, far_y) = raster.transform * (first[1], first[0]), raster.transform * (last[1], last[0])
    colours = mpl.colors.ListedColormap([_colour(code) for code in range(len(result.classes))])
    axes.imshow(
        codes,
        cmap=colours,
        vmin=-0.5,
        vmax=len(result.classes) - 0.5,
        extent=(x, far_x, far_y, y),
        alpha=0.75,
        interpolation="nearest",
    )


def _draw(axes: Axes, shapes: Geometries, **style: Any) -> None:
    """Polygons, all in one style; many small paths are drawn ten times as fast as one that holds them all."""
    from matplotlib.collections import PathCollection

    axes.add_collection(PathCollection(_paths(shapes), **style), autolim=False)


def _draw_clusters(axes: Axes, result: Foi, pixels: Survey) -> None:
    """The geometries of the clusters that count, hatched, with their size in pixels in the middle."""
    settings = result.settings
    runs = components.runs(pixels.index, pixels.codes, settings.connectivity, settings.more_than, np.ones(1, bool))
    clusters, shapes = tracing.polygons(runs, result.raster.transform)
    for code, size, shape in zip(clusters.code, clusters.size, shapes, strict=True):
        edge = _darker(_colour(int(code)))
        _draw(axes, np.array([shape]), facecolor="none", edgecolor=edge, hatch="///", linewidth=1.5)
        middle = shape.representative_point()
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        axes.text(middle.x, middle.y, f"{size} px", ha="center", va="center", fontsize=8, color=palette.INK, bbox=box)


def _name_classes(axes: Axes, result: Foi, counts: npt.NDArray[np.int32]) -> None:
    """A legend of the classes that the parcel has, with their shares, the largest first."""
    from matplotlib.patches import Patch

    names, total = list(result.classes.values()), max(int(counts.sum()), 1)
    present = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
    patches: list[Patch] = [
        Patch(color=_colour(code), alpha=0.75, label=f"{names[code]} {100 * counts[code] / total:.1f} %")
        for code in present
    ]
    least = f"clusters of more\nthan {result.settings.more_than:g} pixels"
    patches.append(Patch(facecolor="none", edgecolor=palette.INK, hatch="///", label=least))
    axes.legend(handles=patches, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)


def _paths(shapes: Geometries) -> list[Path]:
    """Each polygon as a path, in which holes run the other way round, so that they stay empty."""
    from matplotlib.path import Path

    polygons = shapely.get_parts(shapely.orient_polygons(shapes[~shapely.is_missing(shapes)]))
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    begins = np.flatnonzero(np.diff(ring, prepend=-1))
    codes = np.full(len(points), Path.LINETO, Path.code_type)
    codes[begins] = Path.MOVETO
    codes[np.append(begins[1:], len(points))[: len(begins)] - 1] = Path.CLOSEPOLY
    cuts = begins[np.flatnonzero(np.diff(polygon, prepend=-1))][1:]
    parts = zip(np.split(points, cuts), np.split(codes, cuts), strict=True)
    return [Path(*part) for part in parts] if len(points) else []


def _colour(code: int) -> str:
    """The colour of a class; beyond nine they repeat, mixed with grey."""
    return _mixed(palette.CLASSES[code % len(palette.CLASSES)], 0.5, min(0.3 * (code // len(palette.CLASSES)), 0.9))


def _darker(colour: str) -> str:
    return _mixed(colour, 0, 0.45)


def _mixed(colour: str, grey: float, share: float) -> str:
    red, green, blue = (part + (grey - part) * share for part in mpl.colors.to_rgb(colour))
    return str(mpl.colors.to_hex((red, green, blue)))
