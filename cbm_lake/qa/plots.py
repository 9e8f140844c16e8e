"""Plots of bucket filling and of the NDVI of sampled parcels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cbm_lake.cards import palette
from cbm_lake.qa.drawn import Sample
from cbm_lake.show.style import NotebookPage

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_buckets(drawn: Sample) -> Figure:
    """Plot the fill level of each bucket (left), and the course of filling over added rows (right).

    It needs matplotlib; `figure.savefig(path)` writes it.
    """

    buckets = drawn.buckets.to_pylist()
    figure = NotebookPage(figsize=(11, max(3.5, 1.3 + 0.27 * len(buckets))), layout="constrained")
    shares, courses = figure.subplots(1, 2)
    _shares(shares, buckets)
    _courses(courses, drawn, buckets)
    full = sum(bucket["selected"] >= bucket["target"] for bucket in buckets)
    figure.suptitle(
        f"{drawn.extraction_id}: {drawn.totals.selected_rows:,} rows, {full} of {len(buckets)} buckets full",
        color=palette.INK,
    )
    return figure


def plot_ndvi(rows: pa.Table, title: str) -> Figure:
    """Plot the NDVI of a parcel over time; filled points are clear.

    Hollow ones are not, or that is unknown, or only part of the parcel was seen; the legend says how many.

    Args:
        rows: of the query time_series.ndvi.
        title: above the figure.
    """

    figure = NotebookPage(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    times, values = (np.asarray(rows[name]) for name in ("obstime", "ndvi"))
    sky = np.asarray(rows["sky"])
    covered = np.asarray(rows["seen"], bool)
    clear = (sky == "clear") & covered
    counts = {"clouded": sky == "cloudy", "not known": sky == "unknown", "seen in part": (sky == "clear") & ~covered}
    listed = ", ".join(f"{flags.sum()} {words}" for words, flags in counts.items() if flags.any()) or "clouded"
    axes.plot(times[clear], values[clear], "o-", color=palette.GREEN, label="clear", markersize=5, linewidth=1.2)
    axes.plot(times[~clear], values[~clear], "o", color=palette.INK, mfc="none", label=listed, markersize=4, alpha=0.5)
    axes.set(ylabel="NDVI", ylim=(-0.2, 1), title=title)
    axes.legend(frameon=False, loc="upper left", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _shares(axes: Axes, buckets: list[dict[str, Any]]) -> None:
    places = np.arange(len(buckets))
    shares = [_percent(bucket["selected"], bucket["target"]) for bucket in buckets]
    bars = axes.barh(places, shares, color=[_colour(bucket) for bucket in buckets])
    axes.bar_label(bars, [f"{row['selected']:,} of {row['target']:,}" for row in buckets], padding=4, fontsize=8)
    axes.set_yticks(places, [bucket["bucket_id"] for bucket in buckets], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="% of the target", xlim=(0, 130), xticks=range(0, 101, 25))
    axes.spines[["top", "right"]].set_visible(False)


def _courses(axes: Axes, sample: Sample, buckets: list[dict[str, Any]]) -> None:
    """One step line per bucket: % of its target over the number of rows added."""
    names = np.asarray(sample.rows["bucket_id"])
    added = np.asarray(sample.rows["order_added"])
    for bucket in sorted(buckets, key=lambda bucket: bucket["selected"] < bucket["target"]):
        steps = added[names == bucket["bucket_id"]]
        course = _percent(np.array([*range(len(steps) + 1), len(steps)]), bucket["target"])
        axes.step([0, *steps, sample.rows.num_rows], course, where="post", color=_colour(bucket), linewidth=1.2)
    axes.plot([], [], color=palette.GREEN, label="full")
    axes.plot([], [], color=palette.YELLOW, label="not full")
    axes.set(xlabel="rows added", ylabel="% of the target", ylim=(0, 103), xlim=(0, None))
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)


def _percent(selected: Any, target: int) -> Any:
    """Fill level in %; 100 for a target of 0."""
    return 100 * selected / target if target else 100 + 0 * selected


def _colour(bucket: dict[str, Any]) -> str:
    return palette.GREEN if bucket["selected"] >= bucket["target"] else palette.YELLOW
