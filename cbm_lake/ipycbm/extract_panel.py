"""Widget that extracts zonal statistics, with progress, cancellation and the outcome per scene."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, Final

import ipywidgets
import pyarrow as pa

from cbm_lake import extract
from cbm_lake.cards import CARDS
from cbm_lake.extract.causes import still_failing
from cbm_lake.ipycbm.choice import STYLE, Days, ParcelSet, ParcelSetKey
from cbm_lake.ipycbm.panel import Panel
from cbm_lake.lake import Lake, lake_or_default

_WIDTH: Final = {"width": "520px"}
_PROCESSES: Final = [("one per core", ""), ("this one itself", 0), *((str(n), n) for n in (1, 2, 4, 8, 16))]


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """Build the widget: what to extract, and its status."""
    parcel_set = ParcelSet(lake)
    tabs = {"extract": _run(parcel_set), "how it stands": Panel("look", partial(_status, lake))}
    return ipywidgets.VBox([parcel_set, ipywidgets.Tab(list(tabs.values()), titles=list(tabs))])


def _run(parcel_set: ParcelSet) -> ipywidgets.Widget:
    inputs, cluster, lake = _inputs(parcel_set), _cluster(), parcel_set.lake
    dry = Panel("only say what is to be done", partial(_describe, lake), context={"parcel_set": parcel_set, **inputs})
    form = Panel(
        "extract",
        partial(_extract, lake),
        stops=True,
        changed=("signatures",),
        context={"parcel_set": parcel_set},
        **inputs,
        **cluster,
    )
    return ipywidgets.VBox([form, dry])


def _inputs(parcel_set: ParcelSet) -> dict[str, ipywidgets.Widget]:
    """Inputs of the extraction; the dates follow the selected year."""
    year = date.today().year
    days = Days(date(year, 1, 1), date(year, 12, 31))

    def follow(_: object = None) -> None:
        if parcel_set.year.value:
            declared = int(parcel_set.year.value)
            days.first.value, days.last.value = date(declared, 1, 1), date(declared, 12, 31)

    parcel_set.year.observe(follow, "value")
    follow()
    return {
        "card": ipywidgets.Dropdown(options=list(CARDS), description="card", style=STYLE),
        "days": days,
        "bands": ipywidgets.Text(
            description="bands", placeholder="the usual ones; or B04, B08, …", style=STYLE, layout=_WIDTH
        ),
        "cube": ipywidgets.Checkbox(
            value=True, description="keep the pixels in the cube, for chips", style=STYLE, layout={"width": "auto"}
        ),
    }


def _cluster() -> dict[str, ipywidgets.Widget]:
    """Where the computation runs."""
    return {
        "workers": ipywidgets.Dropdown(options=_PROCESSES, description="processes", style=STYLE),
        "scheduler": ipywidgets.Text(
            description="or a cluster", placeholder="tcp://host:8786, a Dask scheduler", style=STYLE, layout=_WIDTH
        ),
    }


def _plan(
    lake: Lake | None, parcel_set: ParcelSetKey, card: str, days: tuple[date, date], bands: str, cube: bool
) -> extract.Plan:
    names = [band.strip() for band in bands.replace(",", " ").split()] or None
    return extract.plan(card, *days, **parcel_set, bands=names, cube=cube, lake=lake)


def _describe(lake: Lake | None, **values: Any) -> str:
    plan = _plan(lake, **values)
    rest = f"{plan.done} are done already, {len(plan.failed)} cannot be read"
    return f"{len(plan.jobs)} scenes are to be extracted, {rest}"


def _extract(
    lake: Lake | None, workers: Any, scheduler: str, progress: Callable[[int, int], None], **values: Any
) -> str:
    plan = _plan(lake, **values)
    progress(0, len(plan.jobs) + len(plan.failed))
    where = {"scheduler": scheduler.strip()} if scheduler.strip() else {"workers": workers if workers != "" else None}
    done = extract.run(plan, **where, progress=progress)
    line = f"{done.scenes} scenes extracted, {done.skipped} before; {done.rows:,} signatures written"
    still = still_failing(done.still_failing)
    return f"{line}; {still}; how it stands says why" if still else line


def _status(lake: Lake | None) -> list[pa.Table | str]:
    """Parcel sets, scenes per card, and failed scenes with reasons."""
    lake = lake_or_default(lake)
    failed = lake.query("scenes.failed")
    return [
        lake.query("status.parcels"),
        lake.query("scenes.status"),
        failed if failed.num_rows else "no scene has failed",
    ]
