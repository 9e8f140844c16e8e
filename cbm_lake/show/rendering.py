"""Renders images of a location with matplotlib: colours, parcel geometry, date, cloud cover, scale bar and legends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
import shapely
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke

from cbm_lake.cards import palette
from cbm_lake.errors import InvalidInputError
from cbm_lake.parcel.images import Image, Images
from cbm_lake.rasters.render import CLASS_COLOURS
from cbm_lake.show import computing, style
from cbm_lake.show.style import Page
from cbm_lake.show.views import Limits, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

CLEAR, CLOUDED, UNKNOWN = palette.GREEN, palette.CLOUD, palette.EDGE
"""Frames of images: cloud-free, clouded, not known."""
ROUND: Final = 0.62
"""Of a parcel's width, how far a map of it alone reaches from the middle to either side."""
_PLAIN_LEGEND: Final[style.Look] = {
    "loc": "upper left",
    "frameon": False,
    "labelcolor": palette.PALE,
    "borderaxespad": 0,
    "borderpad": 0,
    "labelspacing": 0.25,
}
LEFT: Final = 0.15
"""Left margin of figures, inches."""
_HALO: Final = [withStroke(linewidth=2.4, foreground="white", alpha=0.85)]


@dataclass(frozen=True)
class Row:
    """Images of one parcel in one view, with common colour limits."""

    label: str
    view: View
    images: Images
    outline: shapely.Geometry | None
    """In the images' coordinate system."""
    limits: Limits
    cmap: str
    outlined: bool = True
    """Whether the geometry is drawn; clouds are counted in it all the same."""

    @property
    def drawn_outline(self) -> shapely.Geometry | None:
        """The parcel geometry, if it is to be drawn."""
        return self.outline if self.outlined else None

    def at(self, moment: datetime) -> Image | None:
        """The image at a timestamp, else the nearest of the same day, or None."""
        of_day = [image for image in self.images.images if image.obstime.date() == moment.date()]
        return min(of_day, key=lambda image: abs(image.obstime - moment), default=None)


def row(
    label: str,
    view: View,
    images: Images,
    outline: shapely.Geometry | None,
    cmap: str | None,
    *,
    percentile: Sequence[float] | None = None,
    limits: Sequence[float] | None = None,
    outlined: bool = True,
) -> Row:
    """Build a `Row`; common limits are taken from cloud-free images where there are any.

    Args:
        label: row label.
        view: how the bands are rendered.
        images: all of one place.
        outline: of the parcel, in the images' coordinate system.
        cmap: colour map of matplotlib; None is the usual one.
        percentile: between which percentiles colours are stretched; None is the usual stretch of the view.
        limits: the two numbers of the colour scale instead, in its own unit.
        outlined: whether the geometry is drawn.

    Raises:
        InvalidInputError: no such colour map, or percentiles or limits that are none.
    """
    cmap = cmap or view.cmap
    if cmap not in mpl.colormaps:
        raise InvalidInputError(f"there is no colour map {cmap!r}; viridis, cividis, YlGn and magma are some")
    clear = [image.bands for image in images.images if image.cloud == 0] or [image.bands for image in images.images]
    between = view.limits(clear, percentile) if limits is None else view.fixed(limits)
    return Row(label, view, images, outline, between, cmap, outlined)


def scale(row: Row) -> ScalarMappable:
    """Colour map and limits of an index or a single band."""
    return ScalarMappable(Normalize(*row.limits[0]), row.cmap)


def rgba(row: Row, image: Image) -> NDArray[np.uint8]:
    """Render an image to RGBA."""
    if not row.view.scaled:
        return row.view.colours(image.bands, row.limits)
    values = np.ma.masked_invalid(row.view.values(image.bands))
    return np.asarray(scale(row).to_rgba(values, bytes=True), np.uint8)


# -- one image ----------------------------------------------------------------------------------------------------


def draw(
    axes: Axes, pixels: NDArray[np.uint8], bounds: Sequence[float], outline: shapely.Geometry | None, width: float = 1.4
) -> None:
    """Draw pixels at their coordinates and the parcel geometry over them, without ticks."""
    west, south, east, north = bounds
    axes.imshow(pixels, extent=(west, east, south, north), interpolation="nearest", aspect="equal")
    axes.set_facecolor(palette.GROUND)
    if outline is not None:
        draw_outline(axes, outline, width)
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])


def draw_outline(axes: Axes, outline: shapely.Geometry, width: float = 1.4) -> None:
    """Draw the rings of a parcel, dark on a pale halo, so that they stand out on any background."""
    for ring in shapely.get_rings(shapely.get_parts(outline)):
        x, y = shapely.get_coordinates(ring).T
        axes.plot(
            x, y, color=palette.INK, linewidth=width, path_effects=_HALO, solid_joinstyle="round", label="_outline"
        )


def fill(axes: Axes, shape: shapely.Geometry, colour: str) -> None:
    """Fill a parcel with a pale colour; holes stay empty."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    for part in shapely.get_parts(shapely.orient_polygons(shape)):
        rings = [Outline(shapely.get_coordinates(ring), closed=True) for ring in shapely.get_rings(part)]
        axes.add_patch(PathPatch(Outline.make_compound_path(*rings), color=colour, alpha=0.3, linewidth=0))


def frame(axes: Axes, row: Row, image: Image) -> None:
    """Frame an image by the cloud cover of the parcel; radar gets a plain frame."""
    if not row.view.card.is_optical:
        axes.spines[:].set(color=palette.EDGE, linewidth=1.2)
        return
    colour = UNKNOWN if np.isnan(image.cloud) else CLEAR if image.cloud <= computing.CLEAR_SKY else CLOUDED
    axes.spines[:].set(color=colour, linewidth=2 if colour == CLEAR else 1.2)


def cloud_words(image: Image) -> str:
    """Cloud cover as text; "" where it is negligible."""
    if np.isnan(image.cloud):
        return "clouds not known"
    return f"{computing.share_words(image.cloud)} cloud" if image.cloud > computing.CLEAR_SKY else ""


def scale_bar(axes: Axes, metre: float = 1.0) -> None:
    """Draw a scale bar in the lower left corner.

    Args:
        axes: with an image.
        metre: units of the axes in a metre on the ground; on Web Mercator more than one.
    """
    west, east = axes.get_xlim()
    south, north = axes.get_ylim()
    metres = computing.nice((east - west) / metre * 0.4)
    x, y = west + 0.06 * (east - west), south + 0.07 * (north - south)
    halo = [withStroke(linewidth=4.5, foreground="white")]
    bar: style.Look = {"color": palette.INK, "linewidth": 2.2, "solid_capstyle": "butt", "label": "_scale"}
    axes.plot([x, x + metres * metre], [y, y], path_effects=halo, **bar)
    look: style.Look = {"size": style.SMALL, "color": palette.INK, "va": "bottom", "textcoords": "offset points"}
    halo = [withStroke(linewidth=2.5, foreground="white")]
    axes.annotate(computing.distance(metres), (x, y), (0, 3), path_effects=halo, **look)


def single(row: Row, image: Image, heading: str) -> Page:
    """Draw a figure of one image: heading, date, clouds, geometry, scale bar, colour bar."""
    below = 0.62 if row.view.scaled else LEFT
    side, above = 4.6, 0.75
    width, height = side + 2 * LEFT, side + above + below
    figure = style.figure(width, height, constrained=False)
    axes = axes_in(figure, (LEFT, below, side, side))
    draw(axes, rgba(row, image), row.images.bounds, row.drawn_outline)
    frame(axes, row, image)
    scale_bar(axes)
    day = f"{image.obstime:%-d %B %Y} · {row.view.title}"
    axes.set_title(
        " · ".join(filter(None, [day, cloud_words(image)])), loc="left", size=style.SMALL, color=palette.PALE
    )
    bold: style.Look = {"size": 11, "va": "top", "color": palette.INK, "weight": "bold"}
    figure.text(LEFT / width, 1 - 0.14 / height, style.fitted(heading, side, 11, 1), **bold)
    if row.view.scaled:
        scale_of(figure, row, (1.4, 0.47, 2.1, 0.09))
    return figure


def scale_of(figure: Page, row: Row, box: tuple[float, float, float, float]) -> None:
    """Draw the colour bar of an index or a band in a box of inches."""
    bar = figure.colorbar(scale(row), cax=axes_in(figure, box), orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=style.SMALL, labelcolor=palette.INK, color=palette.EDGE)
    bar.set_label(row.view.unit, size=style.SMALL, color=palette.PALE, labelpad=1)


# -- headings and legends ------------------------------------------------------------------------------------------


def axes_in(figure: Page, box: tuple[float, float, float, float]) -> Axes:
    """Add axes in a box of inches: left, bottom, width, height."""
    width, height = figure.get_size_inches()
    return figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))


def above(axes: Axes, text: str, points: float, size: float, *, bold: bool) -> None:
    """Text `points` above the upper left corner of an image: bold where the ground is visible, else pale."""
    units: style.Look = {"xycoords": "axes fraction", "textcoords": "offset points"}
    look: style.Look = {"color": palette.INK, "weight": "bold"} if bold else {"color": palette.PALE, "weight": "normal"}
    axes.annotate(text, (0, 1), (0, points), size=size, **units, **look)


def head(figure: Page, heading: str) -> None:
    """Draw the heading of a figure in its upper left corner."""
    width, height = figure.get_size_inches()
    bold: style.Look = {"size": style.TITLE, "va": "top", "color": palette.INK, "weight": "bold", "linespacing": 1.15}
    figure.text(LEFT / width, 1 - 0.14 / height, heading, **bold)


def key(figure: Page, words: Sequence[str], top: float, *, parcel: bool, clouds: bool = True) -> None:
    """Draw the legend of frame colours, with more text, `top` inches above the lower edge."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    looks = (
        {"cloud-free": CLEAR, "clouds on the parcel" if parcel else "clouds in the image": CLOUDED} if clouds else {}
    )
    handles = [Line2D([], [], color=colour, linewidth=2.5, label=label) for label, colour in looks.items()]
    handles += [Line2D([], [], linestyle="", label=label) for label in words]
    ncols = len(handles) if width > 6.5 else 1
    look: style.Look = {
        "fontsize": style.SMALL,
        "handlelength": 1.4,
        "ncols": ncols,
        "bbox_to_anchor": (LEFT / width, top / height),
    }
    figure.legend(handles=handles, **_PLAIN_LEGEND, **look)


def classes_there(row: Row) -> list[tuple[str, str]]:
    """Names and colours (#rrggbb) of the scene classes that occur in a row's images."""
    classification = row.view.card.classification
    if classification is None:
        return []
    band, colours = classification.name, CLASS_COLOURS[classification.name]
    values = np.unique(np.concatenate([np.unique(image.bands[band]) for image in row.images.images]))
    named = [number for number in values if 0 < number < len(classification.names)]
    return [(classification.names[number], f"#{bytes(colours[number]).hex()}") for number in named]


def class_key(figure: Page, row: Row, top: float) -> None:
    """Draw the legend of the scene classes that occur, `top` inches above the lower edge."""
    from matplotlib.patches import Patch

    width, height = figure.get_size_inches()
    handles = [
        Patch(facecolor=colour, edgecolor=palette.EDGE, linewidth=0.5, label=name)
        for name, colour in classes_there(row)
    ]
    look: style.Look = {"fontsize": 7, "handlelength": 1.2, "ncols": max(1, int(width // 1.55)), "columnspacing": 1.2}
    figure.legend(handles=handles, bbox_to_anchor=(LEFT / width, top / height), **_PLAIN_LEGEND, **look)


def write(rows: Row, folder: Path, heading: str) -> list[Path]:
    """Write each image of a row to <bands>_<date>.png in a folder; returns the paths."""
    files = []
    for image in rows.images.images:
        file = folder / f"{rows.view.name}_{image.obstime:%Y-%m-%d}.png"
        style.save(single(rows, image, heading), file)
        files.append(file)
    return files
