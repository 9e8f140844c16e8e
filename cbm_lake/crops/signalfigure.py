"""Heat map of how well signals separate what was done from what was not, by week."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa

from cbm_lake.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_ROWS: Final = 40
"""Signals that a figure has room for: the best ones."""
_SUFFIXES: Final = (".png", ".svg", ".pdf")
_TITLES: Final = {"level": "Level", "change": "Change against the three weeks before"}


def show_signals(
    table: pa.Table,
    file: str | Path | None = None,
    *,
    kind: Literal["level", "change"] | None = None,
    fdr: float = 0.05,
) -> Figure:
    """Draw the answer of `signals`: AUC by signal and week, with a dot where the false discovery rate is small enough.

    Args:
        table: the answer.
        file: .png, .svg or .pdf to write; None: only the figure is returned.
        kind: only levels or changes; None: both, side by side.
        fdr: up to which q a combination has a dot; those of p_max up to it have a filled one.

    Raises:
        InvalidInputError: the file has another extension, or there are no rows of that kind.
    """
    from matplotlib.figure import Figure as NewFigure

    if file is not None and Path(file).suffix.lower() not in _SUFFIXES:
        raise InvalidInputError(f"{file} is no figure that can be written; give one of {', '.join(_SUFFIXES)}")
    kinds = [each for each in _TITLES if each in set(table["kind"].to_pylist()) and kind in (None, each)]
    if not kinds:
        raise InvalidInputError(f"there are no rows of kind {kind!r}; there are: {set(table['kind'].to_pylist())}")
    grids = {each: _grid(table, each) for each in kinds}
    height = 1.6 + 0.22 * max(len(names) for names, *_ in grids.values())
    figure = NewFigure(figsize=(1.5 + 5.5 * len(kinds), height), layout="constrained")
    for axes, (each, grid) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], grids.items(), strict=True):
        image = _draw(axes, *grid, fdr)
        axes.set_title(_TITLES[each] if len(kinds) > 1 or each == "change" else "Level", fontsize=10)
    figure.colorbar(image, ax=figure.axes, label="AUC: 0.5 does not separate", shrink=0.6)
    if file is not None:
        figure.savefig(file, dpi=150)
    return figure


def _grid(table: pa.Table, kind: str) -> tuple[list[str], list[int], np.ndarray, np.ndarray, np.ndarray]:
    """Names of the best signals, weeks, and AUC, q and p_max of each, NaN where there is none."""
    rows = [row for row in table.to_pylist() if row["kind"] == kind]
    names = list(dict.fromkeys(_name(row) for row in rows))[:_ROWS]
    weeks = sorted({row["week"] for row in rows})
    result = np.full((3, len(names), len(weeks)), np.nan)
    index_of = {name: index for index, name in enumerate(names)}
    for row in rows:
        if _name(row) in index_of:
            result[:, index_of[_name(row)], weeks.index(row["week"])] = row["auc"], row["q"], row["p_max"]
    return names, weeks, *result


def _name(row: dict[str, str]) -> str:
    return f"{row['signal']} {row['statistic']}"


def _draw(
    axes: Axes, names: list[str], weeks: list[int], auc: np.ndarray, q: np.ndarray, p_max: np.ndarray, fdr: float
) -> AxesImage:
    image = axes.imshow(auc, cmap="RdBu_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for values, filled in ((q, False), (p_max, True)):
        y, x = np.nonzero(values <= fdr)
        axes.scatter(x, y, s=14, facecolors="black" if filled else "none", edgecolors="black", linewidths=0.7)
    axes.set_xticks(range(len(weeks)), [str(week) for week in weeks], fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("week", fontsize=8)
    axes.set_facecolor("0.9")
    return image
