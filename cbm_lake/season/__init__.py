"""The season night by night: one file says what is done, one run does it; what changed since the last night.

run               one night by season.yaml
watch             night after night
read              the file of a season, checked
last_run          what the last run did, from the journal
steps             what a run did, step by step
changes           changes of lights, markers and scenes
record            compute and record what changed

Modules are imported when they are first used: the service needs the journal only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cbm_lake.season.file import Season
    from cbm_lake.season.journal import last_run, steps
    from cbm_lake.season.reading import read
    from cbm_lake.season.recording import changes, record
    from cbm_lake.season.running import Night, Watcher, run, watch

__all__ = ["Night", "Season", "Watcher", "changes", "last_run", "read", "record", "run", "steps", "watch"]

_LATER = {
    "Season": "file",
    "read": "reading",
    **dict.fromkeys(("last_run", "steps"), "journal"),
    **dict.fromkeys(("changes", "record"), "recording"),
    **dict.fromkeys(("Night", "Watcher", "run", "watch"), "running"),
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"cbm_lake.season.{_LATER[name]}"), name)
    raise AttributeError(f"module 'cbm_lake.season' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
