"""Notebook widgets, also served as a web page by `cbm-lake app`.

    from cbm_lake import ipycbm

    ipycbm.workbench()   # decide on parcels one after another: worklist, map, evidence, decision
    ipycbm.config()      # settings, and whether servers answer
    ipycbm.card2db()     # parcels and scenes into the lake
    ipycbm.extract()     # statistics, with progress
    ipycbm.get()         # data of single parcels: by identifier, place, marker, polygon, list
    ipycbm.view()        # look at what was got
    ipycbm.foi()         # feature of interest
    ipycbm.qa()          # quality assessment
    ipycbm.crops()       # crop checks: the ranked list of doubtful declarations
    ipycbm.bg_grid(aoi, year, pid)    # orthophotos of a parcel side by side
    ipycbm.bg_slider(aoi, year, pid)  # or one at a time

Each is a form over functions of the library, whose names and arguments it bears. Modules are imported when a widget is
made. The first one in a process offers to delete what an earlier one left in temp/; it never does so unasked.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cbm_lake.config import Workspace
from cbm_lake.errors import of_extra

if TYPE_CHECKING:
    from cbm_lake.lake import Lake

__all__ = ["bg_grid", "bg_slider", "card2db", "config", "crops", "extract", "foi", "get", "qa", "view", "workbench"]


if Path.cwd() == Path(__file__).parent:
    # The page's process begins beside its notebook: there panel.py would be taken for the package panel, which figures
    # that can be zoomed need, and paths that a person writes would be looked for there.
    os.chdir(Workspace.here().root)


def _widget(name: str) -> Callable[..., Any]:
    def build(*, lake: Lake | None = None) -> Any:
        with of_extra("notebook", "a widget"):
            from cbm_lake.ipycbm import cleaning, guide

            panel = importlib.import_module(f"cbm_lake.ipycbm.{name}_panel").panel
        return cleaning.offered(guide.explained(name, panel(lake)))

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"The widget of cbm_lake.{name}, shown when it is the last line of a cell; lake is whose."
    return build


card2db, config, crops, extract, foi, get, qa, view = map(
    _widget, ("card2db", "config", "crops", "extract", "foi", "get", "qa", "view")
)


def workbench(
    aoi: str | None = None,
    year: int | None = None,
    ptype: str | None = None,
    pid: str = "",
    *,
    desk: str = "season",
    subject: str = "",
    lake: Lake | None = None,
) -> Any:
    """The page on which an analyst decides; arguments and errors are those of `desk.bench.workbench`."""
    with of_extra("notebook", "the workbench"):
        from cbm_lake.ipycbm.desk import bench
    return bench.workbench(aoi, year, ptype, pid, desk=desk, subject=subject, lake=lake)


def bg_grid(
    aoi: str,
    year: int,
    pid: str,
    chipsize: int = 512,
    extend: float = 512,
    tms: str | Sequence[str] = "Google",
    ptype: str | None = None,
    columns: int | None = None,
    view: bool | None = None,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> Any:
    """The orthophotos of a parcel side by side; arguments and errors are those of `show.background.by_pid`."""
    from cbm_lake.show import background

    of: dict[str, Any] = {"lake": lake} if lake else {}
    return background.by_pid(aoi, year, pid, chipsize, extend, tms, ptype, columns, view, debug, **of)


def bg_slider(
    aoi: str,
    year: int,
    pid: str,
    chipsize: int = 512,
    extend: float = 512,
    tms: str | Sequence[str] = "Google",
    ptype: str | None = None,
    *,
    lake: Lake | None = None,
) -> Any:
    """The orthophotos of a parcel with a slider over the servers; see `bg_grid`."""
    from cbm_lake.ipycbm.view_images import slider

    names = [tms] if isinstance(tms, str) else tms
    figures = [bg_grid(aoi, year, pid, chipsize, extend, name, ptype, lake=lake) for name in names]
    return slider({figure.get_label(): figure for figure in figures})
