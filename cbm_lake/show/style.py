"""Common style of all figures: fonts, line colours, date axes, and saving to a file."""

from __future__ import annotations

import io
import logging
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from cbm_lake.cards import palette
from cbm_lake.errors import ConfigError, InvalidInputError
from cbm_lake.files import durable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

Look: TypeAlias = dict[str, Any]
"""Options of matplotlib or holoviews by name, whose types only these libraries know."""
Dash = Literal["-", "--", ":", "-."]
DASHES: Final[tuple[Dash, ...]] = ("-", "--", ":", "-.")
"""Styles of line, for more curves than there are colours."""
TITLE, TEXT, SMALL = 13, 9.5, 8.5
"""Sizes in points, for figures nine inches wide."""
WIDTH: Final = 9.0
"""Inches."""
DPI: Final = 150
_WIDE: Final = 0.66
"""Mean width of a letter of the title's typeface, as a share of its height."""
_NARROW: Final = 0.54
"""The same of a typical letter of a legend."""
_OFFSETS: Final = ["", "%Y", "%B %Y", "%-d %B %Y", "%-d %B %Y", "%-d %B %Y"]
_FORMATS: Final = (".png", ".svg", ".pdf", ".html")


def curve_colour(number: int) -> str:
    """Colour of the curve with that number; colours repeat after seven."""
    return palette.CURVES[number % len(palette.CURVES)]


def dash(number: int) -> Dash:
    """Line style of the curve with that number; it changes with each cycle of the colours."""
    return DASHES[number // len(palette.CURVES) % len(DASHES)]


def fitted(text: str, inches: float, points: float = TITLE, lines: int = 2) -> str:
    """Wrap text to at most that many lines; the rest is cut with an ellipsis."""
    letters = max(int(inches * 72 / (points * _WIDE)), 12)
    return "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder=" …", break_on_hyphens=False))


def columns(labels: Sequence[str], most: int, inches: float = WIDTH - 0.3) -> int:
    """Number of columns of a legend, at most that many, in which its labels (filled downwards) fit side by side."""
    widths = [SMALL * _NARROW / 72 * len(label) + 0.45 for label in labels]  # with the handle
    for number in range(min(most, len(labels)), 1, -1):
        rows, longer = divmod(len(labels), number)  # matplotlib gives the rest to the first columns
        ends = np.cumsum([rows + (column < longer) for column in range(number)])
        if sum(max(part) for part in np.split(widths, ends[:-1])) <= inches:
            return number
    return 1


class Interactive(Protocol):
    """An interactive figure for notebooks (holoviews)."""

    def opts(self, *args: object, **options: object) -> Interactive:
        """The same with other options of holoviews."""

    def traverse(self, *, specs: Sequence[type]) -> list[object]:
        """Its parts of these types."""


Page: TypeAlias = MatplotlibFigure
"""A figure of matplotlib."""


class NotebookPage(MatplotlibFigure):
    """A matplotlib figure that notebooks display without `%matplotlib`."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.savefig(out, format="png", bbox_inches="tight", dpi=DPI / 2)
        return out.getvalue()


Figure: TypeAlias = Page | Interactive
"""What is drawn: a figure of matplotlib, which belongs to no global state, or an object of holoviews."""


def figure(width: float, height: float, *, constrained: bool = True) -> Page:
    """Create an empty figure of that size in inches, without pyplot's global state."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1) if constrained else None
    return NotebookPage(figsize=(width, height), dpi=DPI, layout=engine)


def frame(axes: Axes) -> None:
    """Style axes: two thin spines and a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.EDGE)
    axes.tick_params(labelsize=TEXT, labelcolor=palette.INK, color=palette.EDGE)
    axes.grid(color=palette.GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def date_axis(axes: Axes, *, year: bool = True) -> None:
    """Label a time axis by days, months or years, as fits; `year` appends the common year."""
    from matplotlib import dates

    locator = dates.AutoDateLocator(minticks=4, maxticks=12)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(locator, offset_formats=_OFFSETS, show_offset=year)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.xaxis.get_offset_text().set(size=TEXT, color=palette.PALE)


def month_axis(axes: Axes) -> None:
    """Label a time axis by months, without a year."""
    from matplotlib import dates

    axes.xaxis.set_major_locator(dates.MonthLocator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates.DateFormatter("%b"))  # type: ignore[no-untyped-call]


def say(axes: Axes, words: str) -> None:
    """Centred text in axes that have nothing else to show."""
    box = {"facecolor": "white", "edgecolor": palette.GRID, "boxstyle": "round,pad=0.5"}
    centred: Look = {"ha": "center", "va": "center", "transform": axes.transAxes}
    text = axes.text(0.5, 0.5, textwrap.fill(words, 72), size=TEXT + 0.5, color=palette.PALE, zorder=10, **centred)
    text.set_bbox(box)
    text.set_in_layout(False)


def page_of(figure: Figure | None) -> Page:
    """The figure as a matplotlib figure; interactive ones are refused.

    Raises:
        TypeError: it is not a matplotlib figure.
    """
    if not isinstance(figure, MatplotlibFigure):
        raise TypeError(f"{figure!r} is no figure of matplotlib")
    return figure


def displayed(figure: Figure, view: bool | None) -> Figure | None:
    """Apply the original library's `view`: display the figure and return None, or return it.

    Where it is True the figure is displayed in the notebook, and None is returned. Where it is False or None, or there
    is no notebook, which is logged, the figure is returned.
    """
    if not view:
        return figure
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is None:
        log.warning("there is no notebook to show a figure in; it is given back, file= writes it")
        return figure
    from IPython.display import display

    display(figure)  # type: ignore[no-untyped-call]
    return None


def suffix(file: str | Path | None, *, interactive: bool) -> None:
    """Refuse a file extension that cannot be written, before any work is done.

    Raises:
        InvalidInputError: not .png, .svg, .pdf, or, for an interactive figure, .html.
    """
    if file is None:
        return
    extension = Path(file).suffix.lower()
    if extension not in _FORMATS or (extension == ".html") != interactive:
        raise InvalidInputError(
            f"{file} cannot be written; figures are .png, .svg or .pdf, and .html where interactive"
        )


F = TypeVar("F", bound=Figure)


def save(figure: F, file: str | Path | None) -> F:
    """Write a figure if a file is named, and return it.

    Raises:
        ConfigError: the file cannot be written.
    """
    if file is None:
        return figure
    path = Path(file)
    try:
        with durable.replacing(path) as draft:
            if isinstance(figure, MatplotlibFigure):
                figure.savefig(draft, facecolor="white")
            else:
                from cbm_lake.show import notebooks

                draft.write_text(notebooks.page(figure), "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; check the folder's rights") from error
    return figure
