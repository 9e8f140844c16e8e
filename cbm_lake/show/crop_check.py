"""NDVI of a parcel before the bands of its declared crop and of the crop that a crop check takes for likely."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cbm_lake.cards import CLOUD_CLASSES, INDICES, palette, scene_classes
from cbm_lake.errors import NotFoundError, counted
from cbm_lake.lake import Lake
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.show import computing, curves, style
from cbm_lake.show.curves import Line, Panel
from cbm_lake.show.reading import Event, LakeLike, Reading, heading
from cbm_lake.show.style import Page

if TYPE_CHECKING:
    import pandas as pd

_FEWEST: Final = 5
"""Parcels of a day from which their standard deviation is drawn."""
_HEIGHT: Final = 4.9
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

    Behind the curve are the mean of the other parcels that declare a crop of the group, day by day, and one standard
    deviation to either side; of clear observations of parcels that the check does not accuse. The likely group is the
    first of the prediction set that is not the declared one; without such a group there is one band.

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
    return style.save(_figure(reading.lake, parcel, verdict, series), file)


def _verdict(lake: Lake, parcel: Parcel) -> Mapping[str, Any]:
    rows = lake.query("crops.verdict_of", **parcel.key.params).to_pylist()
    if not rows:
        raise NotFoundError(f"parcel {parcel.pid} was not checked yet; check the crops first (`cbm-lake crops check`)")
    row: Mapping[str, Any] = rows[0]
    return row


def _figure(lake: Lake, parcel: Parcel, verdict: Mapping[str, Any], series: pd.DataFrame) -> Page:
    declared = verdict["crop_group"]
    likely = next((group for group in verdict["likely"] or () if group != declared), None)
    groups = {group: colour for group, colour in ((declared, _DECLARED), (likely, _LIKELY)) if group}
    bands = tuple(_band(lake, parcel, group, colour, declared=group == declared) for group, colour in groups.items())
    panel = Panel(
        "NDVI",
        (Line(f"parcel {parcel.pid}", palette.INK, series),),
        INDICES["ndvi"].axis,
        events=_since(verdict),
        peers=tuple(band for band in bands if not band.rows.empty),
        shaded=False,
    )
    figure = style.figure(style.WIDTH, _HEIGHT)
    axes = figure.subplots()
    curves.draw_panel(axes, panel)
    axes.set_xlim(*curves.span([panel]))
    style.date_axis(axes)
    words = f"{heading([parcel])}: {verdict['verdict']}"
    figure.suptitle(
        style.fitted(words, style.WIDTH - 0.3), x=0.012, ha="left", size=style.TITLE, color=palette.INK, weight="bold"
    )
    _key(figure, panel, bands)
    return figure


def _since(verdict: Mapping[str, Any]) -> tuple[Event, ...]:
    """The day from which on the verdict was the same."""
    import pandas as pd

    if verdict["since"] is None:
        return ()
    day = pd.Timestamp(verdict["since"])
    return (Event("the same from here on", day, day, day),)


def _band(lake: Lake, parcel: Parcel, group: str, colour: str, *, declared: bool) -> Line:
    """Daily mean of the other parcels of a group, with low and high one standard deviation off."""
    import pandas as pd

    key = {name: value for name, value in parcel.key.params.items() if name != "pid"}
    how = {"index": "ndvi", "screen": list(scene_classes(CLOUD_CLASSES))}
    rows = lake.query("time_series.crop_group", **key, without=parcel.pid, group=group, **how).to_pandas()
    few = rows["parcels"] < _FEWEST
    curve = pd.DataFrame(
        {
            "time": pd.to_datetime(rows["day"]) + pd.Timedelta(hours=12),
            "value": rows["mean"],
            "low": (rows["mean"] - rows["std"]).mask(few),
            "high": (rows["mean"] + rows["std"]).mask(few),
            "cloud": np.zeros(len(rows)),
            "count": rows["parcels"],
        }
    )
    count = int(rows["parcels"].max()) if len(rows) else 0
    what = "declared" if declared else "likely"
    return Line(f"{what}: {group}, mean ± std of {counted(count, 'parcel')}", colour, curve, ":" if declared else "--")


def _key(figure: Page, panel: Panel, bands: tuple[Line, ...]) -> None:
    """Draw the legend: the parcel, and each band in its colour."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=line.colour, marker="o", label=line.label) for line in panel.lines]
    for band in bands:
        text = style.fitted(f"{band.label}{' (no data)' * band.rows.empty}", 5.5, style.SMALL, 1)
        handles.append(Line2D([], [], color=band.colour, linestyle=band.dash, linewidth=2, label=text))
    look: style.Look = {"fontsize": style.SMALL, "labelcolor": palette.INK, "frameon": False}
    figure.legend(handles=handles, loc="outside lower left", ncols=1, **look)
