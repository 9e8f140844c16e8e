"""Draws images of places: sheets of many small ones, or a single one, with outline, date, clouds and metres."""

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
from cbm_lake.rasters.render import CLASS_COLOURS
from cbm_lake.show import computing, style
from cbm_lake.show.reading import Image, Images
from cbm_lake.show.views import Limits, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

CLEAR, CLOUDED, UNKNOWN = palette.GREEN, palette.CLOUD, palette.EDGE
"""Frames of images: cloud-free, clouded, not known."""
ROUND: Final = 0.62
"""Of a parcel's width, how far a map of it alone reaches from the middle to either side."""
_HALO: Final = [withStroke(linewidth=2.4, foreground="white", alpha=0.85)]


@dataclass(frozen=True)
class Row:
    """A row of a sheet: what is shown of one parcel in one view."""

    label: str
    view: View
    images: Images
    outline: shapely.Geometry | None
    """In the images' coordinate system."""
    limits: Limits
    cmap: str
    outlined: bool = True
    """Whether the outline is drawn; clouds are counted in it all the same."""

    @property
    def drawn_outline(self) -> shapely.Geometry | None:
        """The outline that is drawn, if one is."""
        return self.outline if self.outlined else None

    def at(self, moment: datetime) -> Image | None:
        """The image of a moment, else of its day, if there is one."""
        of_day = [image for image in self.images.images if image.obstime.date() == moment.date()]
        return min(of_day, key=lambda image: abs(image.obstime - moment), default=None)


def row(
    label: str, view: View, images: Images, outline: shapely.Geometry | None, cmap: str | None,
    *, percentile: Sequence[float] | None = None, outlined: bool = True,
) -> Row:  # fmt: skip
    """A row whose images have common limits, taken from the cloud-free ones where there are such.

    Args:
        label: what stands beside it.
        view: what is made of the bands.
        images: all of one place.
        outline: of the parcel, in the images' coordinate system.
        cmap: colour map of matplotlib; None is the usual one.
        percentile: between which percentiles colours are stretched; None is the usual stretch of the view.
        outlined: whether the outline is drawn.

    Raises:
        InvalidInputError: no such colour map, or percentiles that are none.
    """
    chosen = cmap or view.cmap
    if chosen not in mpl.colormaps:
        raise InvalidInputError(f"there is no colour map {chosen!r}; viridis, cividis, YlGn and magma are some")
    seen = [image.bands for image in images.images if image.cloud == 0] or [image.bands for image in images.images]
    return Row(label, view, images, outline, view.limits(seen, percentile), chosen, outlined)


def scale(shown: Row) -> ScalarMappable:
    """Which colour means which number, of an index or a single band."""
    return ScalarMappable(Normalize(*shown.limits[0]), shown.cmap)


def rgba(shown: Row, image: Image) -> NDArray[np.uint8]:
    """An image in colours: red, green, blue, opacity."""
    if not shown.view.scaled:
        return shown.view.colours(image.bands, shown.limits)
    values = np.ma.masked_invalid(shown.view.values(image.bands))
    return np.asarray(scale(shown).to_rgba(values, bytes=True), np.uint8)


# -- one image ----------------------------------------------------------------------------------------------------


def draw(
    axes: Axes, pixels: NDArray[np.uint8], bounds: Sequence[float], outline: shapely.Geometry | None, width: float = 1.4
) -> None:
    """Pixels where they lie, and the outline over them; axes without numbers."""
    west, south, east, north = bounds
    axes.imshow(pixels, extent=(west, east, south, north), interpolation="nearest", aspect="equal")
    axes.set_facecolor(palette.GROUND)
    if outline is not None:
        draw_outline(axes, outline, width)
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])


def draw_outline(axes: Axes, outline: shapely.Geometry, width: float = 1.4) -> None:
    """The rings of a parcel, dark on a pale halo, which is seen on every ground."""
    for ring in shapely.get_rings(shapely.get_parts(outline)):
        x, y = shapely.get_coordinates(ring).T
        axes.plot(
            x, y, color=palette.INK, linewidth=width, path_effects=_HALO, solid_joinstyle="round", label="_outline"
        )


def fill(axes: Axes, shape: shapely.Geometry, colour: str) -> None:
    """A parcel in a pale colour; holes stay empty."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    for part in shapely.get_parts(shapely.orient_polygons(shape)):
        rings = [Outline(shapely.get_coordinates(ring), closed=True) for ring in shapely.get_rings(part)]
        axes.add_patch(PathPatch(Outline.make_compound_path(*rings), color=colour, alpha=0.3, linewidth=0))


def frame(axes: Axes, shown: Row, image: Image) -> None:
    """A frame that says whether clouds hide the parcel; a plain one of radar, which sees through them."""
    if not shown.view.card.is_optical:
        axes.spines[:].set(color=palette.EDGE, linewidth=1.2)
        return
    colour = UNKNOWN if np.isnan(image.cloud) else CLEAR if image.cloud <= computing.CLEAR_SKY else CLOUDED
    axes.spines[:].set(color=colour, linewidth=2 if colour == CLEAR else 1.2)


def cloud_words(image: Image) -> str:
    """How much is clouded, in words; nothing where nothing is."""
    if np.isnan(image.cloud):
        return "clouds not known"
    return f"{max(1, round(100 * image.cloud))} % cloud" if image.cloud > computing.CLEAR_SKY else ""


def scale_bar(axes: Axes, metre: float = 1.0) -> None:
    """A bar of a round number of metres in the lower left corner.

    Args:
        axes: with an image.
        metre: units of the axes in a metre on the ground; on Web Mercator more than one.
    """
    west, east = axes.get_xlim()
    south, north = axes.get_ylim()
    metres = computing.nice((east - west) / metre * 0.4)
    x, y = west + 0.06 * (east - west), south + 0.07 * (north - south)
    axes.plot([x, x + metres * metre], [y, y], color=palette.INK, linewidth=2.2, solid_capstyle="butt",
              path_effects=[withStroke(linewidth=4.5, foreground="white")], label="_scale")  # fmt: skip
    axes.annotate(
        computing.distance(metres), (x, y), (0, 3), textcoords="offset points", size=style.SMALL, color=palette.INK,
        va="bottom", path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )  # fmt: skip


def single(shown: Row, image: Image, heading: str) -> Figure:
    """A figure of one image: heading, date, clouds, outline, scale bar, colours."""
    below = 0.62 if shown.view.scaled else _LEFT
    side, above = 4.6, 0.75
    width, height = side + 2 * _LEFT, side + above + below
    figure = style.figure(width, height, constrained=False)
    axes = axes_in(figure, (_LEFT, below, side, side))
    draw(axes, rgba(shown, image), shown.images.bounds, shown.drawn_outline)
    frame(axes, shown, image)
    scale_bar(axes)
    day = f"{image.obstime:%-d %B %Y} · {shown.view.title}"
    axes.set_title(
        " · ".join(filter(None, [day, cloud_words(image)])), loc="left", size=style.SMALL, color=palette.PALE
    )
    figure.text(_LEFT / width, 1 - 0.14 / height, style.fitted(heading, side, 11, 1), size=11, va="top",
                color=palette.INK, weight="bold")  # fmt: skip
    if shown.view.scaled:
        scale_of(figure, shown, (1.4, 0.47, 2.1, 0.09))
    return figure


def scale_of(figure: Figure, shown: Row, box: tuple[float, float, float, float]) -> None:
    """The colours of an index or a band with their numbers, in a box of inches."""
    bar = figure.colorbar(scale(shown), cax=axes_in(figure, box), orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=style.SMALL, labelcolor=palette.INK, color=palette.EDGE)
    bar.set_label(shown.view.unit, size=style.SMALL, color=palette.PALE, labelpad=1)


# -- many images --------------------------------------------------------------------------------------------------

_LINE, _GAP, _LEFT, _TOP, _BOTTOM = 0.2, 0.1, 0.15, 0.5, 0.66
"""Inches: a line of words above an image, between images, the left edge, above and below all images."""
_NAMES: Final = 0.5
"""Inches for the names of rows."""
_NARROWEST: Final = 6.0


def sheet(rows: Sequence[Row], heading: str, columns: int | None = None, hspace: float = 0.0) -> Figure:
    """A figure of images: a row per parcel or view, a column per date; what does not fit continues below.

    Args:
        rows: what is shown; dates are those of any of them.
        heading: above all.
        columns: how many images stand side by side; without it as many as can be read, at most eight.
        hspace: room between lines of images, beside that for words, as a share of an image's height.
    """
    days = sorted({image.obstime.date(): image.obstime for each in rows for image in each.images.images}.values())
    across = columns or _columns(len(days), len(rows))
    blocks = [days[first : first + across] for first in range(0, len(days), across)]
    side, named = _side(across), _NAMES if len(rows) > 1 else 0.0
    width = max(_NARROWEST, 2 * _LEFT + named + across * (side + _GAP) - _GAP)
    lines = [_lines(rows, number) for number in range(len(rows))]
    tall = len(blocks) * (sum(lines) * _LINE + len(rows) * (1 + hspace) * side + 0.12)
    heading = style.fitted(heading, width - 2 * _LEFT)
    begin = _TOP + 0.22 * heading.count("\n")
    figure = style.figure(width, begin + tall + _BOTTOM, constrained=False)
    top = begin
    for block in blocks:
        for each, words in zip(rows, lines, strict=True):
            top += words * _LINE
            _line(figure, each, block, (_LEFT + named, top, side), words)
            if named:
                _name(figure, each.label, top + side / 2, side)
            top += (1 + hspace) * side
        top += 0.12
    scale_bar(next(axes for axes in figure.axes if axes.images))
    head(figure, heading)
    _foot(figure, rows)
    return figure


def _lines(rows: Sequence[Row], number: int) -> int:
    """Lines of words above a row: date and clouds above the first, clouds above other parcels, none above views."""
    if not number:
        return 2
    return 1 if rows[number].images is not rows[0].images else 0


def _line(figure: Figure, shown: Row, block: Sequence[datetime], place: tuple[float, float, float], words: int) -> None:
    """A row's images of some dates, side by side from a place on (left, top, side; inches from above)."""
    left, top, side = place
    for column, moment in enumerate(block):
        box = (left + column * (side + _GAP), figure.get_figheight() - top - side, side, side)
        _cell(axes_in(figure, box), shown, moment, words)


def _columns(days: int, rows: int) -> int:
    """Side by side: all of up to five dates; more in lines of like length, of at most eight, or six of one row."""
    most = 6 if rows == 1 else 8
    lines = -(-days // most)
    return -(-days // lines)


def _side(across: int) -> float:
    """Inches a side of an image, of which so many stand side by side."""
    return float(np.clip((style.WIDTH - 2 * _LEFT) / across - _GAP, 1.35, 5.7 if across == 1 else 4.2))


def axes_in(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes in a box of inches: left, bottom, width, height."""
    width, height = figure.get_size_inches()
    return figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))


def _cell(axes: Axes, shown: Row, moment: datetime, words: int) -> None:
    """An image of a sheet, or the words that there is none; above it up to two lines: date, clouds."""
    image = shown.at(moment)
    axes.set(xticks=[], yticks=[])
    if image is None:
        axes.spines[:].set(color=palette.GRID)
        axes.text(0.5, 0.5, "no image", transform=axes.transAxes, ha="center", va="center", size=style.SMALL,
                  color=palette.PALE)  # fmt: skip
    else:
        draw(axes, rgba(shown, image), shown.images.bounds, shown.drawn_outline)
        frame(axes, shown, image)
    clouds = cloud_words(image) if image else ""
    if words > 1:
        above(axes, f"{moment:%-d %b %Y}", 13 if clouds else 4, style.SMALL, bold=not clouds)
    if words and clouds:
        above(axes, clouds, 3, 7.5, bold=False)


def above(axes: Axes, text: str, points: float, size: float, *, bold: bool) -> None:
    """Words so many points above the left upper corner of an image: bold where the ground is seen, else pale."""
    axes.annotate(text, (0, 1), (0, points), xycoords="axes fraction", textcoords="offset points", size=size,
                  color=palette.INK if bold else palette.PALE, weight="bold" if bold else "normal")  # fmt: skip


def _name(figure: Figure, label: str, middle: float, side: float) -> None:
    """What a row shows, upright at its left."""
    width, height = figure.get_size_inches()
    text = "\n".join(style.fitted(part, side + _LINE, style.SMALL, 1) for part in label.split(" · "))
    figure.text((_LEFT + _NAMES - 0.1) / width, 1 - middle / height, text, rotation=90, ha="right", va="center",
                size=style.SMALL, color=palette.INK, linespacing=1.15, multialignment="center")  # fmt: skip


def head(figure: Figure, heading: str) -> None:
    """The heading of a figure, in its left upper corner."""
    width, height = figure.get_size_inches()
    figure.text(_LEFT / width, 1 - 0.14 / height, heading, size=style.TITLE, va="top", color=palette.INK, weight="bold",
                linespacing=1.15)  # fmt: skip


def key(figure: Figure, words: Sequence[str], top: float, *, parcel: bool, clouds: bool = True) -> None:
    """What the frames of images mean, and more words, so many inches above the lower edge."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    looks = (
        {"cloud-free": CLEAR, "clouds on the parcel" if parcel else "clouds in the image": CLOUDED} if clouds else {}
    )
    handles = [Line2D([], [], color=colour, linewidth=2.5, label=label) for label, colour in looks.items()]
    handles += [Line2D([], [], linestyle="", label=label) for label in words]
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(_LEFT / width, top / height), frameon=False,
        ncols=len(handles) if width > 6.5 else 1, fontsize=style.SMALL, labelcolor=palette.PALE, borderaxespad=0,
        borderpad=0, handlelength=1.4, labelspacing=0.25,
    )  # fmt: skip


def classes_there(shown: Row) -> list[tuple[str, str]]:
    """The scene classes of a row's images, and their colours (#rrggbb)."""
    classification = shown.view.card.classification
    if classification is None:
        return []
    band, colours = classification.name, CLASS_COLOURS[classification.name]
    there = np.unique(np.concatenate([np.unique(image.bands[band]) for image in shown.images.images]))
    known = [number for number in there if 0 < number < len(classification.names)]
    return [(classification.names[number], f"#{bytes(colours[number]).hex()}") for number in known]


def class_key(figure: Figure, shown: Row, top: float) -> None:
    """Which colour means which scene class, of those that there are, so many inches above the lower edge."""
    from matplotlib.patches import Patch

    width, height = figure.get_size_inches()
    handles = [
        Patch(facecolor=colour, edgecolor=palette.EDGE, linewidth=0.5, label=name)
        for name, colour in classes_there(shown)
    ]
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(_LEFT / width, top / height), frameon=False,
        ncols=max(1, int(width // 1.55)), fontsize=7, labelcolor=palette.PALE, borderaxespad=0, borderpad=0,
        handlelength=1.2, labelspacing=0.25, columnspacing=1.2,
    )  # fmt: skip


def _foot(figure: Figure, rows: Sequence[Row]) -> None:
    """What frames mean, how wide images are, and the scale of colours; of several bands alone the first's."""
    images, width = rows[0].images, figure.get_figwidth()
    metres = computing.distance(images.size * images.transform.a)
    clouds = any(each.view.card.is_optical for each in rows)
    outlined = any(each.outline is not None for each in rows)
    key(figure, [f"each image is {metres} wide"], 0.52, parcel=outlined, clouds=clouds)
    classes = next((each for each in rows if each.view.classes), None)
    if classes:
        class_key(figure, classes, 0.38)
    shown = next((each for each in rows if each.view.scaled), None)
    if shown:
        scale_of(figure, shown, (width - _LEFT - 2.0, 0.43, 1.9, 0.09))


def write(rows: Row, folder: Path, heading: str) -> list[Path]:
    """Each image of a row as <bands>_<date>.png in a folder; the files."""
    files = []
    for image in rows.images.images:
        file = folder / f"{rows.view.name}_{image.obstime:%Y-%m-%d}.png"
        style.save(single(rows, image, heading), file)
        files.append(file)
    return files
