"""`show_land_use` draws the candidates of a change of land use on a map of all parcels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.cards import palette
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.show import style
from cbm_lake.show.style import Page
from cbm_lake.years.changed import CROP, UNKNOWN, candidates, land_use
from cbm_lake.years.resemblance import KINDS

if TYPE_CHECKING:
    from matplotlib.collections import Collection

COLOURS: Final = dict(zip(KINDS, (palette.BLUE, palette.RED, palette.GREEN, palette.PURPLE), strict=True))
_NUMBERED: Final = 30
"""Candidates that have their rank beside them."""
_SIMPLER: Final = 2000
"""Parts of the map's width below which outlines are not drawn exactly."""


@checked
def show_land_use(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    rows: pa.Table | None = None,
    file: str | Path | None = None,
    lake: Lake | None = None,
) -> Page:
    """Map the candidates of `land_use` by kind among all parcels; the first ones have their rank.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        rows: what `land_use` returned; without it, it is called.
        file: also write the figure there: .png, .svg or .pdf.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcels were loaded.
        InvalidInputError: a file that cannot be written.
    """
    lake = lake_or_default(lake)
    style.suffix(file, interactive=False)
    parcels = lake.parcel_set(aoi, year, ptype)
    table = land_use(aoi, year, ptype, lake=lake) if rows is None else rows
    declared = lake.query("parcels.declared", **parcels.params, outlines=True)
    shapes = shapely.from_wkb(declared["geometry"].to_numpy(zero_copy_only=False))
    index = pc.index_in(table["pid"].combine_chunks(), declared["pid"].combine_chunks()).to_numpy()
    return style.save(_map(table, shapes[index], parcels.name), file)


def _map(rows: pa.Table, shapes: npt.NDArray[np.object_], title: str) -> Page:
    from matplotlib.patches import Patch

    west, south, east, north = shapely.total_bounds(shapes)
    height = float(np.clip(style.WIDTH * (north - south) / max(east - west, 1e-9), 3.0, 14.0))
    figure = style.figure(style.WIDTH, height + 0.9)
    axes = figure.add_subplot()
    simple = shapely.simplify(shapes, (east - west) / _SIMPLER)
    handles = []
    for verdict, colour in ((CROP, palette.GRID), (UNKNOWN, palette.CLOUD)):
        selected = np.array(rows["verdict"].to_pylist(), object) == verdict
        axes.add_collection(_polygons(simple[selected], colour, palette.EDGE))
        handles.append(Patch(color=colour, label=f"{verdict} ({int(selected.sum()):,})"))
    for kind, colour in COLOURS.items():
        selected = np.array(rows["kind"].to_pylist(), object) == kind
        if selected.any():
            axes.add_collection(_polygons(simple[selected], colour, palette.INK))
            handles.append(Patch(color=colour, label=f"{kind} ({int(selected.sum()):,})"))
    for number in range(min(candidates(rows).num_rows, _NUMBERED)):
        point = shapes[number].representative_point()
        axes.annotate(str(rows["rank"][number].as_py()), (point.x, point.y), size=style.SMALL, color=palette.INK)
    axes.spines[:].set_color(palette.EDGE)
    axes.set(xlim=(west, east), ylim=(south, north), aspect="equal", xticks=[], yticks=[])
    axes.set_title(style.fitted(f"Seasons that resemble no crop · {title}", style.WIDTH), size=style.TITLE, loc="left")
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=3, frameon=False)
    return figure


def _polygons(shapes: npt.NDArray[np.object_], colour: str, edge: str) -> Collection:
    """The polygons as one collection, with their holes."""
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path as Line

    lines = [
        Line.make_compound_path(*(Line(shapely.get_coordinates(ring)) for ring in (part.exterior, *part.interiors)))
        for part in shapely.get_parts(shapes)
        if not part.is_empty
    ]
    return PathCollection(lines, facecolors=colour, edgecolors=edge, linewidths=0.4)
