"""NDVI of a parcel before the bands of its declared crop and of the crop that a crop check takes for likely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cbm_lake.cards import CLOUD_CLASSES, INDICES, palette
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.show import computing, curves, panels, peers, style
from cbm_lake.show.panels import Line, Panel
from cbm_lake.show.peers import Peers
from cbm_lake.show.reading import Event, LakeLike, Reading, heading
from cbm_lake.show.style import Page

if TYPE_CHECKING:
    import pandas as pd

_HEIGHT: Final = 4.9
_LABEL: Final = 6.5
"""Width of a line of the legend, in inches."""
_DECLARED, _LIKELY = palette.BLUE, palette.DOUBTFUL
"""Colours of the two bands."""


@checked_options
def by_pid(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    *,
    file: str | Path | None = None,
    lake: LakeLike = None,
) -> Page:
    """Plot the NDVI of a parcel, and what parcels of its declared and of its likely crop look like.

    Behind the curve are bands as behind every parcel: median and outer deciles, by steps of ten days, of the nearest
    other parcels that declare a crop of the group and that the check does not accuse. The likely group is the first of
    the prediction set that is not the declared one; without such a group there is one band.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        ptype: which parcel set; None is the main one.
        file: also write the figure there: .png, .svg or .pdf.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcel, it was not checked, or nothing was extracted for it.
        InvalidInputError: a file that cannot be written.
    """
    style.suffix(file, interactive=False)
    reading = Reading.of(lake)
    (parcel,) = reading.parcels(aoi, year, pid, ptype)
    verdict = _verdict(reading.lake, parcel)
    series = computing.index_curve(reading.series(parcel, "s2"), INDICES["ndvi"], CLOUD_CLASSES)
    if series.empty:
        raise NotFoundError(f"no s2 statistics of parcel {pid} of {aoi} {year}; make them with cbm-lake extract s2")
    return style.save(_figure(reading, parcel, verdict, series), file)


def _verdict(lake: Lake, parcel: Parcel) -> Mapping[str, Any]:
    rows = lake.query("crops.verdict_of", **parcel.key.params).to_pylist()
    if not rows:
        raise NotFoundError(f"parcel {parcel.pid} was not checked yet; check the crops first (cbm-lake crops check)")
    row: Mapping[str, Any] = rows[0]
    return row


def _figure(reading: Reading, parcel: Parcel, verdict: Mapping[str, Any], series: pd.DataFrame) -> Page:
    declared = verdict["crop_group"]
    likely = next((group for group in verdict["likely"] or () if group != declared), None)
    groups = {group: colour for group, colour in ((declared, _DECLARED), (likely, _LIKELY)) if group}
    bands = [_band(reading, parcel, group, colour, declared=group == declared) for group, colour in groups.items()]
    panel = Panel(
        "NDVI",
        (Line(f"parcel {parcel.pid}", palette.INK, series),),
        INDICES["ndvi"].axis,
        events=_since(verdict),
        peers=tuple(line for band in bands for line in band.lines),
        shaded=False,
    )
    figure = style.figure(style.WIDTH, _HEIGHT)
    axes = figure.subplots()
    curves.draw_panel(axes, panel)
    axes.set_xlim(*panels.span([panel]))
    style.date_axis(axes)
    words = f"{heading([parcel])}: {verdict['verdict']}"
    figure.suptitle(
        style.fitted(words, style.WIDTH - 0.3), x=0.012, ha="left", size=style.TITLE, color=palette.INK, weight="bold"
    )
    _key(figure, panel, [band.note for band in bands if band.note])
    return figure


def _since(verdict: Mapping[str, Any]) -> tuple[Event, ...]:
    """The day from which on the verdict was the same."""
    import pandas as pd

    if verdict["since"] is None:
        return ()
    day = pd.Timestamp(verdict["since"])
    return (Event("the same from here on", day, day, day),)


def _band(reading: Reading, parcel: Parcel, group: str, colour: str, *, declared: bool) -> Peers:
    """The band of the other parcels of a group, and what it is of in words."""
    what = "declared" if declared else "likely"
    band = peers.of_group(reading, parcel, group, INDICES["ndvi"], CLOUD_CLASSES, colour)
    lines = [replace(line, label=f"{what}: {line.label}", dash=":" if declared else "--") for line in band.lines]
    return Peers(tuple(lines), band.note and f"{what}: {band.note}")


def _key(figure: Page, panel: Panel, notes: Sequence[str]) -> None:
    """Draw the legend: the parcel, each band in its colour, and why there is none."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=line.colour, marker="o", label=line.label) for line in panel.lines]
    for band in panel.peers:
        text = style.fitted(band.label, _LABEL, style.SMALL, 1)
        handles.append(Line2D([], [], color=band.colour, linestyle=band.dash, linewidth=2, label=text))
    handles += [Line2D([], [], linestyle="", label=style.fitted(note, _LABEL, style.SMALL, 1)) for note in notes]
    look: style.Look = {"fontsize": style.SMALL, "labelcolor": palette.INK, "frameon": False}
    figure.legend(handles=handles, loc="outside lower left", ncols=1, **look)
