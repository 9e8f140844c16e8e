"""Crops: does the declared crop grow there, how sure is that, and by which signals is it known?

    import cbm_lake as cbm

    checked = cbm.crops.check("aoi", 2024, alpha=0.05)        # verdicts of every parcel, in the lake
    judged = cbm.crops.judge(season, cbm.crops.Settings())    # the same on arrays of any source
    ranked = cbm.crops.signals("mown.csv", "aoi", 2024)       # which band, index and week tells what was done

What needs heavier libraries is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cbm_lake.crops.checking import by_day, check
    from cbm_lake.crops.features import Season
    from cbm_lake.crops.listing import ranked, runs
    from cbm_lake.crops.model import Judged, judge, judge_by_day
    from cbm_lake.crops.picture import show
    from cbm_lake.crops.settings import Settings
    from cbm_lake.crops.signalfigure import show_signals
    from cbm_lake.crops.signalsearch import signals

__all__ = [
    "Judged",
    "Season",
    "Settings",
    "by_day",
    "check",
    "judge",
    "judge_by_day",
    "ranked",
    "runs",
    "show",
    "show_signals",
    "signals",
]

_LATER = {
    **dict.fromkeys(("Judged", "judge", "judge_by_day"), "model"),
    **dict.fromkeys(("by_day", "check"), "checking"),
    **dict.fromkeys(("ranked", "runs"), "listing"),
    "Season": "features",
    "show": "picture",
    "Settings": "settings",
    "show_signals": "signalfigure",
    "signals": "signalsearch",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"cbm_lake.crops.{_LATER[name]}"), name)
    raise AttributeError(f"module 'cbm_lake.crops' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
