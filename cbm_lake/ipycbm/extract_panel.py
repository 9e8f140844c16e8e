"""Take the statistics of all parcels, with progress and a button that stops; what became of each scene."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, Final

import ipywidgets
import pyarrow as pa

from cbm_lake import extract
from cbm_lake.cards import CARDS
from cbm_lake.extract.causes import as_before
from cbm_lake.ipycbm.choice import STYLE, Days, ParcelSet
from cbm_lake.ipycbm.panel import Panel
from cbm_lake.lake import Lake, open_lake

_WIDTH: Final = {"width": "520px"}
_PROCESSES: Final = [("one per core", ""), ("this one itself", 0), *((str(n), n) for n in (1, 2, 4, 8, 16))]


def panel(lake: Lake | None = None) -> ipywidgets.Widget:
    """What to extract; how it stands."""
    known = ParcelSet(lake)
    tabs = {"extract": _run(known), "how it stands": Panel("look", partial(_status, lake))}
    return ipywidgets.VBox([known, ipywidgets.Tab(list(tabs.values()), titles=list(tabs))])


def _run(known: ParcelSet) -> ipywidgets.Widget:
    lake = known.lake
    year = date.today().year
    inputs = {
        "card": ipywidgets.Dropdown(options=list(CARDS), description="card", style=STYLE),
        "days": Days(date(year, 1, 1), date(year, 12, 31)),
        "bands": ipywidgets.Text(
            description="bands", placeholder="the usual ones; or B04, B08, …", style=STYLE, layout=_WIDTH
        ),
        "cube": ipywidgets.Checkbox(
            value=True, description="keep the pixels in the cube, for chips", style=STYLE, layout={"width": "auto"}
        ),
    }

    def follow(_: Any = None) -> None:
        if known.year.value:
            declared, days = int(known.year.value), inputs["days"]
            days.first.value, days.last.value = date(declared, 1, 1), date(declared, 12, 31)

    known.year.observe(follow, "value")
    follow()

    def plan(known: dict[str, Any], card: str, days: tuple[date, date], bands: str, cube: bool) -> extract.Plan:
        wanted = [band.strip() for band in bands.replace(",", " ").split()] or None
        return extract.plan(card, *days, **known, bands=wanted, cube=cube, lake=lake)

    def told(**values: Any) -> str:
        todo = plan(**values)
        rest = f"{todo.done} are done already, {len(todo.failed)} cannot be read"
        return f"{len(todo.jobs)} scenes are to be extracted, {rest}"

    def run(workers: Any, scheduler: str, progress: Callable[[int, int], None], **values: Any) -> str:
        todo = plan(**values)
        progress(0, len(todo.jobs) + len(todo.failed))
        where = (
            {"scheduler": scheduler.strip()} if scheduler.strip() else {"workers": workers if workers != "" else None}
        )
        done = extract.run(todo, **where, progress=progress)
        told = f"{done.scenes} scenes extracted, {done.skipped} before; {done.rows:,} signatures written"
        return f"{told}; {as_before(done.still_failing)}" if done.still_failing else told

    where = {
        "workers": ipywidgets.Dropdown(options=_PROCESSES, description="processes", style=STYLE),
        "scheduler": ipywidgets.Text(
            description="or a cluster", placeholder="tcp://host:8786, a Dask scheduler", style=STYLE, layout=_WIDTH
        ),
    }
    dry = Panel("only say what is to be done", told, context={"known": known, **inputs})
    return ipywidgets.VBox([Panel("extract", run, stops=True, context={"known": known}, **inputs, **where), dry])


def _status(lake: Lake | None) -> list[pa.Table | str]:
    """The parcel sets, the scenes of each card, and the scenes that failed, with why."""
    lake = lake or open_lake()
    failed = lake.query("scenes.failed")
    return [
        lake.query("status.parcels"),
        lake.query("scenes.status"),
        failed if failed.num_rows else "no scene has failed",
    ]
