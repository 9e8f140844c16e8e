"""`show` draws how good a crop check is, and its ranked list as a map; from the record, nothing is judged again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.cards import palette
from cbm_lake.crops.listing import in_words, last_run, ranked
from cbm_lake.geo.reprojection import Shapes
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.show import style
from cbm_lake.show.style import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, Any]
"""The figures of a check, as `crop_runs` has them."""

_COLOURS: Final = {"agrees": palette.GOOD, "cannot say": palette.EDGE, "disagrees": palette.BAD}
"""Of verdicts, in the order in which they are drawn."""
_GROUPS: Final = 15
"""Groups that a matrix or bars have room for: the largest ones."""
_NUMBERED: Final = 10
"""Ranks that a map names."""
_OUTLINES: Final = 20_000
"""Parcels up to which a map has their outlines; of more it has a dot each."""
_LETTERS: Final = 22
"""Of the name of a group."""


@checked
def show(
    aoi: str, year: int, ptype: str | None = None, *, file: str | Path | None = None, lake: Lake | None = None
) -> Page:
    """Plot how good the last check of a parcel set is, and the verdicts as a map.

    Accuracy and share undecided by the day of the season; how often a predicted probability holds; declared and likely
    groups of crops; the errors by crop group and size class; the map, with the ranks of the least likely declarations.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        file: also write the figure there: .png, .svg or .pdf.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcels were loaded, or they were never checked.
        InvalidInputError: a file that cannot be written.
    """
    lake = lake_or_default(lake)
    style.suffix(file, interactive=False)
    parcels = lake.parcel_set(aoi, year, ptype)
    run = last_run(lake, parcels)
    rows = ranked(aoi, year, ptype, lake=lake)
    return style.save(_figure(parcels.name, run, rows), file)


def _figure(name: str, run: Mapping[str, object], rows: pa.Table) -> Page:
    """The five plots on one page."""
    figures = json.loads(str(run["figures"]))
    figure = style.figure(13, 17)
    figure.suptitle(
        style.fitted(f"{name}: declared crops, {'; '.join(in_words(run)[:2])}", 13, lines=3),
        x=0.01,
        ha="left",
        size=style.TITLE,
        color=palette.INK,
        weight="bold",
    )
    axes = figure.subplot_mosaic(
        [["days", "reliability"], ["confusion", "errors"], ["map", "map"]], height_ratios=[2, 3, 4]
    )
    by_day(axes["days"], figures)
    reliability(axes["reliability"], figures)
    confusion(axes["confusion"], figures)
    errors(axes["errors"], figures, float(str(run["alpha"])))
    ranked_map(axes["map"], rows)
    return figure


def _titled(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", size=style.TEXT + 1, color=palette.INK)


def by_day(axes: Axes, figures: Figures) -> None:
    """Plot accuracy and share undecided against the day."""
    _titled(axes, "Checks with what was seen until a day")
    style.frame(axes)
    rows = figures["by_day"]
    if not rows:
        style.say(axes, "the days of the season were not worked out for so many parcels; ask for it")
        return
    days = [date.fromisoformat(row["day"]) for row in rows]
    for key, label, colour, width in (
        ("accuracy_of_groups", "predicted as declared (groups)", palette.BLUE, 4),
        ("accuracy", "predicted as declared (crops)", palette.GREEN, 1.5),
        ("undecided", "undecided", palette.RED, 1.5),
    ):
        shares = [np.nan if row.get(key) is None else 100 * row[key] for row in rows]
        axes.plot(days, shares, marker="o", markersize=4, linewidth=width, color=colour, label=label)  # type: ignore[arg-type]
    axes.set(ylim=(-3, 103), ylabel="share of parcels (%)")
    axes.legend(frameon=False, fontsize=style.SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    style.date_axis(axes)


def reliability(axes: Axes, figures: Figures) -> None:
    """Plot how often the likeliest group is the declared one, against its predicted probability."""
    _titled(axes, "Reliability of predicted probabilities")
    style.frame(axes)
    rows = figures.get("reliability") or []
    if not rows:
        style.say(axes, "nothing was predicted")
        return
    predicted, declared = ([100 * row[key] for row in rows] for key in ("predicted", "declared"))
    axes.plot([0, 100], [0, 100], color=palette.CLOUD, linestyle="--", linewidth=1)
    axes.plot(predicted, declared, marker="o", color=palette.BLUE)
    for x, y, row in zip(predicted, declared, rows, strict=True):
        axes.annotate(
            f"{row['parcels']:,}",
            (x, y),
            xytext=(6, -11),
            textcoords="offset points",
            size=style.SMALL,
            color=palette.PALE,
        )
    label = "declared so (%); numbers are of parcels"
    axes.set(xlim=(0, 105), ylim=(-8, 105), xlabel="predicted probability (%)", ylabel=label)


def confusion(axes: Axes, figures: Figures) -> None:
    """Plot the likeliest group of the parcels of each declared group, in % of these."""
    names, matrix = figures.get("groups") or [], np.array(figures.get("confusion") or [], float)
    _titled(axes, "Likeliest group (across) of declared group (down), % of the declared")
    if not names or not matrix.sum():
        style.say(axes, "nothing was predicted")
        axes.set_axis_off()
        return
    largest = np.sort(np.argsort(-matrix.sum(axis=1), kind="stable")[:_GROUPS])
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    share = share[np.ix_(largest, largest)]
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.argwhere(share >= 1):
        colour = "white" if share[row, column] > 60 else palette.INK
        axes.text(
            column, row, f"{share[row, column]:.0f}", ha="center", va="center", size=style.SMALL - 1, color=colour
        )
    labels = [_short(names[number]) for number in largest]
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", size=style.SMALL, rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels, size=style.SMALL)
    if len(names) > len(labels):
        axes.set_xlabel(f"the {len(labels)} largest of {len(names)} groups", size=style.SMALL, color=palette.PALE)


def errors(axes: Axes, figures: Figures, alpha: float) -> None:
    """Plot alpha (correct declarations that are accused) and beta (wrong ones that are not) by group and size class."""
    cells = sorted(figures.get("cells") or [], key=lambda cell: -cell["parcels"])[:_GROUPS]
    _titled(axes, "Errors by crop group and size class")
    style.frame(axes)
    if not cells:
        style.say(axes, "nothing was predicted")
        return
    for shift, key, colour, label in (
        (-0.2, "alpha", palette.RED, "alpha: correct, accused"),
        (0.2, "beta", palette.BLUE, "beta: wrong, not suspicious"),
    ):
        shares = [np.nan if cell[key] is None else 100 * cell[key] for cell in cells]
        axes.barh(np.arange(len(cells)) + shift, shares, height=0.38, color=colour, label=label)
    axes.axvline(100 * alpha, color=palette.INK, linewidth=1, linestyle=":", label=f"promised {100 * alpha:g} %")
    labels = [f"{_short(cell['group'])}, {cell['size_class']} ({cell['parcels']:,})" for cell in cells]
    axes.set_yticks(range(len(cells)), labels, size=style.SMALL)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="share (%)")
    axes.legend(frameon=False, fontsize=style.SMALL, loc="upper center", bbox_to_anchor=(0.4, -0.1), ncols=3)


def ranked_map(axes: Axes, rows: pa.Table) -> None:
    """Plot the verdicts where they are, with the ranks of the least likely declarations."""
    from matplotlib.patches import Patch

    _titled(axes, "Verdicts; numbers are the ranks of the least likely declarations")
    rows = rows.filter(pc.is_valid(rows["geometry"]))
    shapes = shapely.from_wkb(rows["geometry"].to_numpy())
    values = rows["verdict"].to_numpy()
    patches = []
    for verdict, colour in _COLOURS.items():
        some = shapes[values == verdict]
        patches.append(Patch(color=colour, label=f"{verdict} ({len(some):,})"))
        _draw(axes, some, colour, outlines=len(shapes) <= _OUTLINES)
    ranked = np.flatnonzero(np.asarray(pc.fill_null(pc.less_equal(rows["rank"], _NUMBERED), False)))
    _number(axes, shapes[ranked], rows["rank"].take(pa.array(ranked)).to_pylist())
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(labelsize=style.SMALL, labelcolor=palette.PALE, color=palette.EDGE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"EPSG:{rows['epsg'][0].as_py()}" if rows.num_rows else "", size=style.SMALL, color=palette.PALE)
    axes.legend(handles=patches, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=style.TEXT)


def _draw(axes: Axes, shapes: Shapes, colour: str, *, outlines: bool) -> None:
    """Parcels in one colour: as outlines, or as a dot each."""
    from matplotlib.collections import PolyCollection

    if not outlines:
        x, y = shapely.get_coordinates(shapely.centroid(shapes)).T
        axes.scatter(x, y, s=1, color=colour, linewidths=0)
        return
    rings = [shapely.get_coordinates(ring) for ring in shapely.get_exterior_ring(shapely.get_parts(shapes))]
    axes.add_collection(PolyCollection(rings, facecolors=colour, edgecolors="white", linewidths=0.2))


def _number(axes: Axes, shapes: Shapes, ranks: Sequence[int]) -> None:
    """The ranks of parcels beside them."""
    for shape, rank in zip(shapes, ranks, strict=True):
        where = shape.representative_point()
        text = axes.annotate(
            str(rank),
            (where.x, where.y),
            xytext=(4, 4),
            textcoords="offset points",
            size=style.SMALL,
            color=palette.INK,
        )
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "boxstyle": "round,pad=0.15"})


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
