"""Who opened the widgets' web page: the user of what is written there, and of the log of buttons that are pressed."""

from __future__ import annotations

import atexit
import json
import os
from pathlib import Path
from typing import Any, Final

from cbm_lake.config import VISITOR
from cbm_lake.ipycbm.panel import LISTENERS

FOLDER: Final = "CBM_LAKE_APP_ACCESS"
"""Variable that names the folder of the access log."""
DAYS: Final = "CBM_LAKE_APP_ACCESS_DAYS"
"""Variable with the days for which it is kept."""
WHO: Final = "X-CBM-Lake-Who"
"""Header, set by the web site alone, with the account that opened the page."""
ADDRESS: Final = "X-CBM-Lake-Address"
"""Header, set by the web site alone, with the address from which it was opened."""


def introduce() -> None:
    """Let the account that opened the page be the user by whom notes and verdicts are made."""
    if who := os.environ.get(_variable(WHO), ""):
        os.environ[VISITOR] = who


def listen() -> None:
    """Log every button press to the access log, if the page is served by `cbm-lake app`."""
    folder = os.environ.get(FOLDER)
    if not folder or LISTENERS:
        return
    from cbm_lake.server.audit import AccessLog, Look

    access = AccessLog(Path(folder), int(os.environ[DAYS]))
    who, address = (os.environ.get(_variable(header), "") for header in (WHO, ADDRESS))

    def write(label: str, values: dict[str, Any]) -> None:
        named = {name: str(value) for name, value in values.items() if isinstance(value, str | int | float | tuple)}
        aoi, pid = named.pop("aoi", "").lower() or None, named.pop("pid", "") or None
        access.add(Look(who or None, address, "app", "PRESS", label, None, None, aoi, pid, json.dumps(named)))

    LISTENERS.append(write)
    atexit.register(access.close)


def visitor() -> str | None:
    """The account that opened the page; None where nobody logs in, as in a notebook."""
    return os.environ.get(_variable(WHO)) or None


def _variable(header: str) -> str:
    """Environment variable of a header."""
    return f"HTTP_{header.upper().replace('-', '_')}"
