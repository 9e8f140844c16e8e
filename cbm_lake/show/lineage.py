"""Map of the parcels of two years, coloured by what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.cards import palette
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.geo.reprojection import Shapes, reprojected
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.schemas.declared import GONE, MERGED, MOVED, NEW, PART_OF, RELATIONS, SAME, SLIVER, SPLIT
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.show import style
from cbm_lake.show.style import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final = {
    SAME: palette.GRID,
    MOVED: palette.YELLOW,
    SPLIT: palette.BLUE,
    MERGED: palette.PURPLE,
    PART_OF: palette.CYAN,
    NEW: palette.GREEN,
    GONE: palette.RED,
}
_MOST: Final = 50_000
"""Parcels of a year that a picture can show."""
_LOWEST, _HIGHEST, _WORDS = 2.0, 12.0, 1.3
"""Inches: of the map, and of title and legend."""


@checked
def by_relation(
    aoi: str,
    year_a: int,
    year_b: int,
    ptype: str | None = None,
    *,
    ptype_before: str | None = None,
    pids: Sequence[str] | None = None,
    file: str | Path | None = None,
    lake: Lake | None = None,
) -> Page:
    """Plot the parcels of two years: the later ones coloured by their relation, the earlier ones as dashed boundaries.

    Of several relations of a parcel the first of the legend is shown. The lineage is what `parcels.lineage` wrote last.

    Args:
        aoi: area.
        year_a: a year.
        year_b: the other one.
        ptype: which parcel set of the later year; None is the main one.
        ptype_before: which one of the earlier year; None is the same, "" the main one.
        pids: only parcels of the later or the earlier year with these identifiers, and those they are related to.
        file: also write the figure there: .png, .svg or .pdf.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: the lineage of these parcels was not computed, or has none of `pids`.
        InvalidInputError: there are too many parcels for a picture, or the file cannot be written.
    """
    lake = lake_or_default(lake)
    style.suffix(file, interactive=False)
    later = lake.parcel_set(aoi, max(year_a, year_b), ptype)
    earlier = lake.parcel_set(aoi, min(year_a, year_b), ptype if ptype_before is None else ptype_before)
    rows = _rows(lake, later, earlier, None if pids is None else list(pids))
    relations = _strongest(rows, "pid"), _strongest(rows, "pid_before")
    if max(map(len, relations)) > _MOST:
        raise InvalidInputError(
            f"a picture shows {_MOST:,} parcels at most, and these are more; choose some by pids=",
            plain=f"a picture shows {_MOST:,} parcels at most, and these are more; choose some of them",
        )
    shapes, epsg = _shapes(lake, later, list(relations[0]), None)
    before, epsg = _shapes(lake, earlier, list(relations[1]), epsg)
    figure = _figure(relations, shapes, before)
    heading = f"{later.name}: what became of the parcels of {earlier.name.removeprefix(f'{earlier.aoi} ')}"
    figure.suptitle(heading, x=0.02, ha="left", size=style.TITLE, weight="bold", color=palette.INK)
    return style.save(figure, file)


def _rows(lake: Lake, later: ParcelSet, earlier: ParcelSet, pids: list[str] | None) -> pa.Table:
    before = {"year_before": earlier.year, "ptype_before": earlier.ptype}
    rows = lake.query("lineage.of", **later.params, **before, pids=pids)
    if not rows.num_rows:
        whose = "these parcels" if pids else f"the parcels of {later.name} from {earlier.name}"
        raise NotFoundError(f"the lineage of {whose} is not in the lake; compute it first (cbm-lake parcels lineage)")
    return rows.filter(pc.not_equal(rows["relation"], SLIVER))


def _strongest(rows: pa.Table, column: str) -> dict[str, str]:
    """The first relation of each parcel in the order of RELATIONS, by its identifier."""
    rank = {relation: number for number, relation in enumerate(RELATIONS)}
    strongest: dict[str, str] = {}
    for pid, relation in zip(rows[column].to_pylist(), rows["relation"].to_pylist(), strict=True):
        if pid is not None and rank[relation] < rank.get(strongest.get(pid, ""), len(rank)):
            strongest[pid] = relation
    return strongest


def _shapes(lake: Lake, of: ParcelSet, pids: list[str], epsg: int | None) -> tuple[dict[str, shapely.Geometry], int]:
    """Geometries by identifier, in a coordinate system where one is given; and which that is."""
    table = lake.query("cases.geometries", **of.params, pids=pids)
    stored = int(table["epsg"][0].as_py()) if table.num_rows else epsg or 0
    shapes: Shapes = np.asarray(shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False)))
    moved = reprojected(shapes, stored, epsg or stored)
    return dict(zip(table["pid"].to_pylist(), moved, strict=True)), epsg or stored


def _figure(
    relations: tuple[dict[str, str], dict[str, str]],
    shapes: dict[str, shapely.Geometry],
    before: dict[str, shapely.Geometry],
) -> Page:
    west, south, east, north = shapely.total_bounds([*shapes.values(), *before.values()])
    height = min(max(style.WIDTH * (north - south) / (east - west), _LOWEST), _HIGHEST)
    figure = style.figure(style.WIDTH, height + _WORDS)
    axes = figure.subplots()
    for relation in RELATIONS:
        in_year, of = (relations[1], before) if relation == GONE else (relations[0], shapes)
        _fill(axes, [of[pid] for pid, each in in_year.items() if each == relation and pid in of], relation)
    _boundaries(axes, list(before.values()))
    axes.set_aspect("equal")
    axes.margins(0.01)
    axes.autoscale_view()
    axes.set_axis_off()
    _legend(axes, relations)
    return figure


def _fill(axes: Axes, shapes: Sequence[shapely.Geometry], relation: str) -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path as Outline

    parts = shapely.get_parts(np.array(shapes, object))
    paths = [
        Outline.make_compound_path(
            *(Outline(shapely.get_coordinates(ring), closed=True) for ring in shapely.get_rings(part))
        )
        for part in parts
    ]
    dashed = "--" if relation == GONE else "-"
    axes.add_collection(
        PathCollection(paths, facecolor=_COLOURS.get(relation), edgecolor=palette.PALE, linewidth=0.5, linestyle=dashed)
    )


def _boundaries(axes: Axes, shapes: Sequence[shapely.Geometry]) -> None:
    from matplotlib.collections import LineCollection

    rings = shapely.get_rings(shapely.get_parts(np.array(shapes, object)))
    lines = [shapely.get_coordinates(ring) for ring in rings]
    axes.add_collection(LineCollection(lines, colors=palette.INK, linewidths=0.8, linestyles="--"))


def _legend(axes: Axes, relations: tuple[dict[str, str], dict[str, str]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    counts = Counter(relations[0].values()) + Counter({GONE: list(relations[1].values()).count(GONE)})
    handles: list[Patch | Line2D] = [
        Patch(facecolor=colour, edgecolor=palette.PALE, label=f"{relation} ({counts[relation]:,})")
        for relation, colour in _COLOURS.items()
        if counts[relation]
    ]
    handles.append(Line2D([], [], color=palette.INK, linewidth=0.8, linestyle="--", label="earlier boundaries"))
    axes.legend(
        handles=handles, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, fontsize=style.TEXT
    )
